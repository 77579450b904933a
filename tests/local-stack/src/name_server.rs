//! The DNS of the local stack: which name servers every name is delegated to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

const LONGEST_QUERY: usize = 512;
const TTL_SECONDS: u32 = 60;
/// The last byte of the address of every other name server.
const OTHERS: u8 = 200;

/// Answers over UDP as a recursive resolver does. At first every name is delegated to the name servers of the
/// emulator.
pub struct NameServer {
    address: SocketAddr,
    delegated: Arc<Mutex<Vec<String>>>,
    server: AbortHandle,
}

impl NameServer {
    /// The name servers that the emulator gives every zone.
    pub const EMULATED: [&str; 4] = [
        "ns-1.awsdns-1.com.",
        "ns-2.awsdns-2.net.",
        "ns-3.awsdns-3.org.",
        "ns-4.awsdns-4.co.uk.",
    ];

    pub async fn start() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let delegated = Arc::new(Mutex::new(Self::EMULATED.map(str::to_owned).to_vec()));
        let server = tokio::spawn(serve(socket, Arc::clone(&delegated)));
        Ok(Self {
            address,
            delegated,
            server: server.abort_handle(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Delegates every name to these name servers; without any, to none.
    pub fn delegate(&self, name_servers: &[&str]) {
        let mut delegated = self
            .delegated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *delegated = name_servers.iter().map(ToString::to_string).collect();
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(socket: UdpSocket, delegated: Arc<Mutex<Vec<String>>>) {
    let mut query = [0; LONGEST_QUERY];
    while let Ok((length, client)) = socket.recv_from(&mut query).await {
        let delegated = {
            let delegated = delegated.lock().unwrap_or_else(PoisonError::into_inner);
            delegated.clone()
        };
        // A query that can't be read gets no answer, as if it were lost.
        if let Ok(answer) = answer(query.get(..length).unwrap_or_default(), &delegated) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

fn answer(query: &[u8], delegated: &[String]) -> Result<Vec<u8>> {
    let message = Message::from_vec(query)?;
    let question = message.queries.first().context("no question")?;
    let mut response = Message::response(message.metadata.id, message.metadata.op_code);
    response.metadata.recursion_available = true;
    response.metadata.response_code = ResponseCode::NoError;
    response.add_query(question.clone());
    response.add_answers(records(question, delegated)?);
    Ok(response.to_vec()?)
}

/// Each name server of the emulator has an address of its own, and all others share one.
fn records(question: &Query, delegated: &[String]) -> Result<Vec<Record>> {
    let record = |data| Record::from_rdata(question.name.clone(), TTL_SECONDS, data);
    match question.query_type {
        RecordType::NS => delegated
            .iter()
            .map(|server| Ok(record(RData::NS(NS(Name::from_ascii(server)?)))))
            .collect(),
        RecordType::A => {
            let name = question.name.to_ascii();
            let position = NameServer::EMULATED
                .iter()
                .position(|server| *server == name);
            let number = position.and_then(|position| u8::try_from(position).ok());
            let number = number.unwrap_or(OTHERS);
            Ok(vec![record(RData::A(A::new(192, 0, 2, number)))])
        }
        _ => Ok(Vec::new()),
    }
}
