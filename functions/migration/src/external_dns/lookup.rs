//! Finding the registry TXT records of a name in a zone.

use super::registry_names::RegistryNames;
use super::registry_txt::{RegistryText, owner};
use crate::dns::{RecordName, RecordType, SetIdentifier, Zone};

/// The registry TXT records of `side` for `name`, in every naming that `names` permits.
pub fn registry_texts<'a>(
    zone: &'a Zone,
    name: &RecordName,
    side: &SetIdentifier,
    names: &RegistryNames,
) -> Vec<RegistryText<'a>> {
    let mut texts = Vec::new();
    for (naming, record_name) in names.record_names(name) {
        let Some((read, _)) = zone.weighted(&record_name, &RecordType::Txt, side) else {
            continue;
        };
        let Some(owner) = owner(read) else {
            continue;
        };
        let exists = |record_type: &&RecordType| zone.weighted(name, record_type, side).is_some();
        texts.push(RegistryText {
            read,
            naming,
            record_type: naming.record_types().iter().find(exists).cloned(),
            owner,
        });
    }
    texts
}
