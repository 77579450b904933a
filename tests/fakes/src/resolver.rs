//! The DNS as the world sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use migration::Error;
use migration::delegation::Resolver;
use migration::dns::RecordName;
use migration::error::Unavailable;

/// The name servers of every [`FakeRoute53`](crate::FakeRoute53).
pub const NAME_SERVERS: [&str; 2] = ["ns-1.awsdns-01.org", "ns-2.awsdns-02.co.uk"];

/// Names with their name servers and addresses. Every name is delegated to [`NAME_SERVERS`] until a test
/// changes that.
#[derive(Default)]
pub struct FakeResolver(Mutex<Names>);

#[derive(Default)]
struct Names {
    name_servers: Option<BTreeSet<RecordName>>,
    addresses: BTreeMap<RecordName, BTreeSet<IpAddr>>,
    is_down: bool,
}

impl FakeResolver {
    /// Delegates every name to these name servers.
    pub fn delegate(&self, name_servers: &[&str]) {
        self.lock().name_servers = Some(names(name_servers));
    }

    /// Gives a host an address.
    pub fn add_address(&self, host: &str, address: &str) {
        let mut names = self.lock();
        let addresses = names.addresses.entry(host.parse().unwrap()).or_default();
        addresses.insert(address.parse().unwrap());
    }

    /// Answers nothing from now on.
    pub fn go_down(&self) {
        self.lock().is_down = true;
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap()
    }

    fn answer<T>(&self, read: impl FnOnce(&Names) -> T) -> Result<T, Error> {
        let names = self.lock();
        if names.is_down {
            return Err(Error::from(Unavailable::NoAnswer {
                action: "the look-up".to_owned(),
                problem: "no connections available".to_owned(),
            }));
        }
        Ok(read(&names))
    }
}

/// The names of the texts.
pub(crate) fn names(texts: &[&str]) -> BTreeSet<RecordName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

impl Resolver for FakeResolver {
    async fn name_servers(&self, _: &RecordName) -> Result<BTreeSet<RecordName>, Error> {
        self.answer(|it| {
            it.name_servers
                .clone()
                .unwrap_or_else(|| names(&NAME_SERVERS))
        })
    }

    async fn addresses(&self, host: &RecordName) -> Result<BTreeSet<IpAddr>, Error> {
        self.answer(|names| names.addresses.get(host).cloned().unwrap_or_default())
    }
}
