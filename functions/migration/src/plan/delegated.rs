//! Whether the weights of a zone have an effect.

use super::problems::Problems;
use super::warning::Warning;
use crate::Error;
use crate::delegation::Delegation;
use crate::dns::Zone;
use crate::error::InvalidInput;
use crate::input::WarningCode;

/// The warning if it is unknown which zone the world asks. Adds a problem if it is another one, or none.
pub(super) fn delegation_warning(
    delegation: &Result<Delegation, Error>,
    zone: &Zone,
    problems: &mut Problems,
) -> Option<Warning> {
    match delegation {
        Ok(Delegation::Here | Delegation::Private) => {}
        Ok(Delegation::Nowhere) => problems.add(InvalidInput::NotDelegated {
            zone_name: zone.name.clone(),
            zone_id: zone.id.clone(),
        }),
        Ok(Delegation::Elsewhere {
            name_servers,
            zone: delegated,
        }) => {
            let name_servers: Vec<_> = name_servers.iter().map(ToString::to_string).collect();
            problems.add(InvalidInput::DelegatedElsewhere {
                zone_name: zone.name.clone(),
                zone_id: zone.id.clone(),
                name_servers: name_servers.join(", "),
                delegated: delegated.clone(),
            });
        }
        Err(error) => {
            let message = format!(
                "it is unknown whether the world asks the zone {} ({}); compare the answer of `dig NS {0}` with the name \
                 servers of the zone {} before the start",
                zone.name,
                error.message(),
                zone.id
            );
            return Some(Warning::new(WarningCode::DelegationUnknown, message));
        }
    }
    None
}
