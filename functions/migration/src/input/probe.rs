//! The probe of `to`, as an operator configures it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::bounded_integer::BoundedInteger;
use crate::text::{deserialize_from_str, quoted};

/// The probe of `to`: a request to the load balancer of each record of `to`, with the record's name as
/// TLS server name and Host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Probe {
    /// `false` for workloads without HTTP.
    pub enabled: bool,
    /// `https` or `http`.
    pub scheme: Scheme,
    /// The port. Default: 443 for https, 80 for http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<BoundedInteger<1, 65_535>>,
    /// The path and query of the request. It begins with `/`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub path: Path,
    /// The HTTP status of a healthy response: one such as `200`, or a range such as `200-399`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub expected_status: StatusRange,
    /// Text that the body of a healthy response contains, such as the name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_body: Option<String>,
    /// The number of attempts for each name in one health check.
    pub attempts: BoundedInteger<1, 20>,
    /// The number of attempts that must succeed.
    pub successes: BoundedInteger<1, 20>,
    /// The time limit of one attempt, in seconds: resolution, connection, TLS and response together.
    pub attempt_timeout_seconds: BoundedInteger<1, 60>,
    /// The time limit of one health check of all names, in seconds. Names that are not probed by then
    /// are inconclusive.
    pub deadline_seconds: BoundedInteger<1, 240>,
    /// The number of names that are probed at the same time.
    pub concurrency: BoundedInteger<1, 100>,
    /// `false` to accept any certificate.
    pub verify_certificate: bool,
    /// The label in place of the `*` of a wildcard record.
    #[cfg_attr(test, schemars(with = "String"))]
    pub wildcard_label: Label,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            scheme: Scheme::Https,
            port: None,
            path: Path("/".into()),
            expected_status: StatusRange {
                first: 200,
                last: 399,
            },
            expected_body: None,
            attempts: BoundedInteger::new(3),
            successes: BoundedInteger::new(2),
            attempt_timeout_seconds: BoundedInteger::new(5),
            deadline_seconds: BoundedInteger::new(60),
            concurrency: BoundedInteger::new(10),
            verify_certificate: true,
            wildcard_label: Label("cutover-probe".into()),
        }
    }
}

/// The protocol of a probe.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
}

/// A range of HTTP statuses with both ends included, written `200` or `200-399`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    pub fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|status| (100..=599).contains(status))
        };
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "expected an HTTP status such as 200 or a range such as 200-399, found {}",
                quoted(text)
            )),
        }
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The path and query of a request. It begins with `/`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Path(String);

impl Path {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a path that begins with `/` and has no `#` and no spaces (write %20), found {}",
                quoted(text)
            ))
        }
    }
}

/// One label of a host name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Label(String);

impl Label {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a label of a host name (1 to 63 of a-z, 0-9 and -), found {}",
                quoted(text)
            ))
        }
    }
}

deserialize_from_str!(StatusRange, Path, Label);
