//! Record sets with all of their fields: a DELETE must give every field as it was read.

use std::fmt;

use super::identifiers::SetIdentifier;
use super::name::RecordName;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RecordType {
    A,
    Aaaa,
    Cname,
    /// Journals, and the registry of ExternalDNS.
    Txt,
    /// A type that no migration reads or writes.
    Other(String),
}

impl RecordType {
    /// The types that clients resolve to reach a workload, so a migration moves them together.
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

    /// Whether a migration moves records of this type.
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

/// The maximum length of one string in a TXT record, in bytes (RFC 1035, 3.3).
pub(crate) const LONGEST_TXT_STRING: usize = 255;

/// How Route 53 chooses among the record sets of one name and type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Routing {
    /// One record set answers alone.
    Simple,
    /// In proportion to the weights.
    Weighted {
        set_identifier: SetIdentifier,
        /// 0 to 255.
        weight: u8,
    },
    /// A policy that a migration does not support, by Route 53's name for it ("latency", "failover",
    /// "geolocation", …).
    Other(&'static str),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordData {
    Values {
        ttl_seconds: u32,
        /// The values as Route 53 lists them, those of a TXT with their quotes.
        values: Vec<String>,
    },
    /// The answer of another record or AWS resource, with the TTL of that.
    Alias {
        /// The zone of the target; for an elastic load balancer, a zone of AWS.
        hosted_zone_id: String,
        dns_name: String,
        /// Whether Route 53 omits the record from its answers while the target is unhealthy.
        evaluate_target_health: bool,
    },
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordSet {
    pub name: RecordName,
    pub record_type: RecordType,
    pub routing: Routing,
    pub data: RecordData,
    pub health_check_id: Option<String>,
    /// The traffic policy instance that owns it; Route 53 refuses any other change of such a record.
    pub traffic_policy_instance_id: Option<String>,
}

impl RecordSet {
    /// A TXT record with simple routing and one value.
    pub(crate) fn text(name: RecordName, ttl_seconds: u32, value: String) -> Self {
        Self {
            name,
            record_type: RecordType::Txt,
            routing: Routing::Simple,
            data: RecordData::Values {
                ttl_seconds,
                values: vec![value],
            },
            health_check_id: None,
            traffic_policy_instance_id: None,
        }
    }

    /// The set identifier and weight; none if the routing is not weighted.
    pub fn weighted(&self) -> Option<(&SetIdentifier, u8)> {
        match &self.routing {
            Routing::Weighted {
                set_identifier,
                weight,
            } => Some((set_identifier, *weight)),
            Routing::Simple | Routing::Other(_) => None,
        }
    }

    /// The same record set with another weight.
    #[must_use]
    pub fn with_weight(&self, new_weight: u8) -> Self {
        let mut changed = self.clone();
        if let Routing::Weighted { weight, .. } = &mut changed.routing {
            *weight = new_weight;
        }
        changed
    }

    pub(crate) fn first_value_mut(&mut self) -> Option<&mut String> {
        match &mut self.data {
            RecordData::Values { values, .. } => values.first_mut(),
            RecordData::Alias { .. } => None,
        }
    }

    /// The values; an alias has none.
    pub fn values(&self) -> &[String] {
        match &self.data {
            RecordData::Values { values, .. } => values,
            RecordData::Alias { .. } => &[],
        }
    }

    /// The DNS name of an alias's target; none if it has values.
    pub fn alias_target(&self) -> Option<&str> {
        match &self.data {
            RecordData::Alias { dns_name, .. } => Some(dns_name),
            RecordData::Values { .. } => None,
        }
    }
}
