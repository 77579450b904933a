//! Record sets as they were read, whole, so that a change can name exactly
//! what it replaces.

use std::fmt;

use crate::name::{RecordName, SetIdentifier};

/// The type of a record set.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RecordType {
    /// IPv4 addresses, or an alias to what has them.
    A,
    /// IPv6 addresses, or an alias to what has them.
    Aaaa,
    /// Another name.
    Cname,
    /// Text: journals and the registry of ExternalDNS.
    Txt,
    /// A type that no migration touches.
    Other(String),
}

impl RecordType {
    /// The types by which clients reach a workload, and which therefore move together.
    pub const MOVED: [RecordType; 3] = [Self::A, Self::Aaaa, Self::Cname];

    /// The type as Route 53 writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
            Self::Other(other) => other,
        }
    }

    /// Whether records of this type move in a migration.
    pub fn moves(&self) -> bool {
        Self::MOVED.contains(self)
    }
}

impl From<&str> for RecordType {
    fn from(text: &str) -> Self {
        match text {
            "A" => Self::A,
            "AAAA" => Self::Aaaa,
            "CNAME" => Self::Cname,
            "TXT" => Self::Txt,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How Route 53 chooses among the record sets of one name and type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Routing {
    /// There is one record set only.
    Simple,
    /// In proportion to the weights.
    Weighted {
        /// Which of the weighted record sets this is.
        set_identifier: SetIdentifier,
        /// 0 to 255.
        weight: u8,
    },
    /// By a policy that a migration has no part in, in Route 53's words
    /// ("latency", "failover", "geolocation", …).
    Other(&'static str),
}

/// What a record set answers with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Values of its own.
    Values {
        /// For how many seconds resolvers may keep the answer.
        ttl_seconds: u32,
        /// The values as Route 53 lists them, TXT in its quotes.
        values: Vec<String>,
    },
    /// Whatever the target answers with, with the target's TTL.
    Alias {
        /// The zone of the target: of an elastic load balancer, AWS's own.
        hosted_zone_id: String,
        /// The target, as Route 53 lists it.
        dns_name: String,
        /// Whether the record is left out while the target is unhealthy.
        evaluate_target_health: bool,
    },
}

/// A record set, whole: deleting it takes every field as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordSet {
    /// Where it stands.
    pub name: RecordName,
    /// Its type.
    pub record_type: RecordType,
    /// How it is chosen.
    pub routing: Routing,
    /// What it answers with.
    pub answer: Answer,
    /// The health check that takes it out of the answers.
    pub health_check_id: Option<String>,
    /// The traffic policy instance that owns it; such a record can't be changed by hand.
    pub traffic_policy_instance_id: Option<String>,
}

impl RecordSet {
    /// A TXT record with simple routing and one value.
    pub(crate) fn text(name: RecordName, ttl_seconds: u32, value: String) -> Self {
        Self {
            name,
            record_type: RecordType::Txt,
            routing: Routing::Simple,
            answer: Answer::Values {
                ttl_seconds,
                values: vec![value],
            },
            health_check_id: None,
            traffic_policy_instance_id: None,
        }
    }

    /// The set identifier and weight, where routing is weighted.
    pub fn weighted(&self) -> Option<(&SetIdentifier, u8)> {
        match &self.routing {
            Routing::Weighted {
                set_identifier,
                weight,
            } => Some((set_identifier, *weight)),
            Routing::Simple | Routing::Other(_) => None,
        }
    }

    /// The same record set with another weight and nothing else changed.
    #[must_use]
    pub fn with_weight(&self, new_weight: u8) -> Self {
        let mut changed = self.clone();
        if let Routing::Weighted { weight, .. } = &mut changed.routing {
            *weight = new_weight;
        }
        changed
    }

    /// The first value, to be edited.
    pub(crate) fn first_value_mut(&mut self) -> Option<&mut String> {
        match &mut self.answer {
            Answer::Values { values, .. } => values.first_mut(),
            Answer::Alias { .. } => None,
        }
    }

    /// The values, none for an alias.
    pub fn values(&self) -> &[String] {
        match &self.answer {
            Answer::Values { values, .. } => values,
            Answer::Alias { .. } => &[],
        }
    }
}
