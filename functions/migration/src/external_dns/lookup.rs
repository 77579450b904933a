//! Finding the registry TXT records of a name in a zone.

use super::registry_names::{RegistryNames, TxtNaming};
use super::registry_txt::{RegistryText, owner};
use crate::dns::{RecordName, RecordSet, RecordType, SetIdentifier, Zone};

/// The registry TXT records of `side` for `name`, in every naming that `names` permits.
pub fn registry_texts<'a>(
    zone: &'a Zone,
    name: &RecordName,
    side: &SetIdentifier,
    names: &RegistryNames,
) -> Vec<RegistryText<'a>> {
    let mut texts = Vec::new();
    for (naming, record_name) in names.record_names(name) {
        let txt = zone.weighted(&record_name, &RecordType::Txt, side);
        texts.extend(txt.and_then(|(read, _)| registry_text(zone, name, side, naming, read)));
    }
    texts
}

/// `read` as a registry TXT of `side` for `name`; none if its value is not one of a registry.
pub(super) fn registry_text<'a>(
    zone: &Zone,
    name: &RecordName,
    side: &SetIdentifier,
    naming: TxtNaming,
    read: &'a RecordSet,
) -> Option<RegistryText<'a>> {
    let exists = |record_type: &&RecordType| zone.weighted(name, record_type, side).is_some();
    Some(RegistryText {
        read,
        naming,
        record_type: naming.record_types().iter().find(exists).cloned(),
        owner: owner(read)?,
    })
}
