//! Route 53's model: names, record sets, weights, and a hosted zone as it was read.
//!
//! Data and arithmetic only. Nothing here calls Route 53 or knows ExternalDNS. Of journals, this module
//! knows only their names: [`RecordName::journal`] and [`RecordName::journaled`] depend on Route 53's
//! spelling of wildcards and on the maximum length of a name. It does not know what a journal contains.

mod identifiers;
mod lone_weights;
mod name;
mod percent;
mod record_set;
mod sides;
mod template;
mod weights;
mod zone;
mod zone_names;

pub use identifiers::{HostedZoneId, SetIdentifier};
pub use lone_weights::LoneWeights;
pub use name::RecordName;
pub(crate) use name::{LONGEST_NAME, canonical, length};
pub use percent::Percent;
pub(crate) use record_set::LONGEST_TXT_STRING;
pub use record_set::{RecordData, RecordSet, RecordType, Routing};
pub use sides::{Side, Sides};
pub use template::{SetIdentifierTemplate, TemplateTexts};
pub use weights::{WeightTotal, Weights, count_weights, weights_at};
pub use zone::Zone;
pub use zone_names::ZoneNames;
