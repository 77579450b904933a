//! Recursive look-ups in the DNS.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
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
pub struct DnsResolver {
    server: Option<SocketAddr>,
    /// Set up at the first look-up: only a plan makes one, and it would add to every cold start.
    resolver: OnceLock<Result<TokioResolver, String>>,
}

impl DnsResolver {
    /// The resolver that `DNS_SERVER` sets, or else those of the system.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the setting.
    pub fn from_env() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(address) => Self::at(&address),
            Err(_) => Ok(Self::new(None)),
        }
    }

    /// The resolver at an address and port.
    fn at(address: &str) -> Result<Self, String> {
        let address = address.parse().map_err(|_| {
            format!("{VARIABLE}: expected an address and a port such as 192.0.2.53:53, found {address:?}")
        })?;
        Ok(Self::new(Some(address)))
    }

    fn new(server: Option<SocketAddr>) -> Self {
        Self {
            server,
            resolver: OnceLock::new(),
        }
    }

    fn set_up(&self) -> Result<TokioResolver, String> {
        let Some(address) = self.server else {
            return build(TokioResolver::builder_tokio());
        };
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        let config = ResolverConfig::from_name_servers(vec![server]);
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        build(Ok(builder))
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
            .resolver
            .get_or_init(|| self.set_up())
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
        let (ipv4, ipv6) = tokio::join!(
            self.look_up(host, RecordType::A),
            self.look_up(host, RecordType::AAAA),
        );
        let found = |lookup: Option<Lookup>| addresses_in(lookup.as_ref());
        addresses_of_both(ipv4.map(found), ipv6.map(found))
    }
}

fn addresses_in(lookup: Option<&Lookup>) -> BTreeSet<IpAddr> {
    let records = lookup.into_iter().flat_map(Lookup::answers);
    records
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect()
}

/// The addresses of both types. A look-up without an answer matters only if the other one found none: a server is
/// recognized by one address, and some resolvers do not answer for AAAA.
fn addresses_of_both(
    ipv4: Result<BTreeSet<IpAddr>, Error>,
    ipv6: Result<BTreeSet<IpAddr>, Error>,
) -> Result<BTreeSet<IpAddr>, Error> {
    match (ipv4, ipv6) {
        (Ok(mut ipv4), Ok(ipv6)) => {
            ipv4.extend(ipv6);
            Ok(ipv4)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::op::Message;
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, AAAA};
    use tokio::net::UdpSocket;

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

    #[test]
    fn a_look_up_without_an_answer_matters_only_if_the_other_one_found_nothing() {
        let found = |text: &str| -> Result<BTreeSet<IpAddr>, Error> {
            Ok(text
                .split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect())
        };
        let failed = || {
            Err(Error::from(Unavailable::NoAnswer {
                action: "the look-up".to_owned(),
                problem: "SERVFAIL".to_owned(),
            }))
        };
        let (v4, v6) = ("192.0.2.1", "2001:db8::1");
        let both = format!("{v4} {v6}");
        for (ipv4, ipv6, expected) in [
            (found(v4), found(v6), Some(&*both)),
            (found(v4), found(""), Some(v4)),
            (found(""), found(v6), Some(v6)),
            (found(v4), failed(), Some(v4)),
            (failed(), found(v6), Some(v6)),
            (found(""), failed(), None),
            (failed(), found(""), None),
            (failed(), failed(), None),
        ] {
            let addresses = addresses_of_both(ipv4, ipv6).ok();
            assert_eq!(
                addresses,
                expected.map(|text| found(text).unwrap()),
                "{expected:?}"
            );
        }
    }

    /// Answers queries over UDP with these addresses, whatever the name is.
    async fn answer(socket: UdpSocket, addresses: [RData; 2]) {
        let mut query = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut query).await.unwrap();
            let query = Message::from_vec(&query[..length]).unwrap();
            let question = query.queries.first().unwrap();
            let mut response = Message::response(query.metadata.id, query.metadata.op_code);
            response.metadata.recursion_available = true;
            response.add_query(question.clone());
            let data = addresses
                .iter()
                .find(|data| data.record_type() == question.query_type);
            response.add_answer(Record::from_rdata(
                question.name.clone(),
                60,
                data.unwrap().clone(),
            ));
            socket
                .send_to(&response.to_vec().unwrap(), client)
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_host_has_its_ipv4_and_its_ipv6_addresses() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let resolver = DnsResolver::at(&socket.local_addr().unwrap().to_string()).unwrap();
        let (v4, v6) = (Ipv4Addr::new(192, 0, 2, 1), "2001:db8::1".parse().unwrap());
        let server = answer(socket, [RData::A(A(v4)), RData::AAAA(AAAA(v6))]);
        let server = tokio::spawn(server);
        let host = "ns1.example.com".parse().unwrap();
        let addresses = resolver.addresses(&host).await.unwrap();
        assert_eq!(addresses, [IpAddr::V4(v4), IpAddr::V6(v6)].into());
        server.abort();
    }
}
