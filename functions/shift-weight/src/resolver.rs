//! Recursive look-ups in the DNS.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use migration::Error;
use migration::delegation::Resolver;
use migration::dns::RecordName;
use migration::error::Unavailable;

/// The setting with the resolver to ask instead of those of the system.
const VARIABLE: &str = "DNS_SERVER";
/// How long one attempt waits. A plan must not wait long for what only warns.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// The resolvers of the system, or the one in `DNS_SERVER`. If the system has none that can be used, every look-up
/// fails, and the function still plans.
pub struct DnsResolver(Result<TokioResolver, String>);

impl DnsResolver {
    /// The resolver that `DNS_SERVER` sets, or else those of the system.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the setting.
    pub fn from_env() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(address) => Self::at(&address),
            Err(_) => Ok(Self(build(TokioResolver::builder_tokio()))),
        }
    }

    /// The resolver at an address and port.
    fn at(address: &str) -> Result<Self, String> {
        let address: SocketAddr = address.parse().map_err(|_| {
            format!("{VARIABLE}: expected an address and a port such as 192.0.2.53:53, found {address:?}")
        })?;
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        let config = ResolverConfig::from_name_servers(vec![server]);
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        Ok(Self(build(Ok(builder))))
    }

    async fn look_up(
        &self,
        name: &RecordName,
        record_type: RecordType,
    ) -> Result<Option<Lookup>, Error> {
        let no_answer = |problem| {
            Error::from(Unavailable::NoAnswer {
                action: format!("the look-up of the {record_type} records of {name}"),
                problem,
            })
        };
        let resolver = self
            .0
            .as_ref()
            .map_err(|problem| no_answer(problem.clone()))?;
        match resolver.lookup(name.fully_qualified(), record_type).await {
            Ok(lookup) => Ok(Some(lookup)),
            // The answer says that there are none.
            Err(error) if error.is_no_records_found() => Ok(None),
            Err(error) => Err(no_answer(error.to_string())),
        }
    }
}

fn build(
    builder: Result<hickory_resolver::ResolverBuilder<TokioRuntimeProvider>, NetError>,
) -> Result<TokioResolver, String> {
    let problem = |error: NetError| format!("the configuration of the resolvers: {error}");
    let mut builder = builder.map_err(problem)?;
    let options = builder.options_mut();
    options.timeout = ATTEMPT_TIMEOUT;
    options.attempts = ATTEMPTS;
    // A delegation that was corrected a minute ago must be seen.
    options.cache_size = 0;
    builder.build().map_err(problem)
}

impl Resolver for DnsResolver {
    async fn name_servers(&self, zone: &RecordName) -> Result<BTreeSet<RecordName>, Error> {
        let lookup = self.look_up(zone, RecordType::NS).await?;
        let records = lookup.iter().flat_map(Lookup::answers);
        Ok(records
            .filter_map(|record| match &record.data {
                RData::NS(server) => server.0.to_string().parse().ok(),
                _ => None,
            })
            .collect())
    }

    async fn addresses(&self, host: &RecordName) -> Result<BTreeSet<IpAddr>, Error> {
        let lookup = self.look_up(host, RecordType::A).await?;
        let records = lookup.iter().flat_map(Lookup::answers);
        Ok(records
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                _ => None,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_no_address_with_a_port_is_refused() {
        let problem = DnsResolver::at("192.0.2.53").err().unwrap();
        assert_eq!(
            problem,
            "DNS_SERVER: expected an address and a port such as 192.0.2.53:53, found \"192.0.2.53\""
        );
        assert!(DnsResolver::at("[2001:db8::53]:53").is_ok());
    }
}
