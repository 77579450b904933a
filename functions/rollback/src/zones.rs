//! Reads zones while a call goes through many executions, of which several are in the same zone.

use std::collections::BTreeMap;

use migration::Error;
use migration::dns::{HostedZoneId, Zone};
use migration::route53::{Route53, read_zone};

/// The zones that a call has read. It reads each of them once, also if that fails.
pub(crate) struct Zones<'a, R> {
    route53: &'a R,
    read: BTreeMap<HostedZoneId, Result<Zone, Error>>,
}

impl<'a, R: Route53> Zones<'a, R> {
    pub(crate) fn new(route53: &'a R) -> Self {
        Self {
            route53,
            read: BTreeMap::new(),
        }
    }

    /// # Errors
    /// Those of [`read_zone`].
    pub(crate) async fn get(&mut self, id: &HostedZoneId) -> Result<&Zone, Error> {
        let zone = match self.read.remove(id) {
            Some(zone) => zone,
            None => read_zone(self.route53, id).await,
        };
        let zone = self.read.entry(id.clone()).or_insert(zone);
        zone.as_ref().map_err(Error::clone)
    }
}
