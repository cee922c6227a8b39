//! A name server: the pods' names, as they are, or as they were.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Names and their addresses.
#[derive(Debug, Default)]
pub(crate) struct Names {
    now: RefCell<BTreeMap<String, Ipv4Addr>>,
    /// The answers that are given while the names are stale.
    stale: RefCell<Option<BTreeMap<String, Ipv4Addr>>>,
}

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const NO_SUCH_NAME: u8 = 3;

impl Names {
    /// Serves the names on this address.
    pub(crate) async fn serve(self: &Rc<Self>, address: Ipv4Addr) -> Result<JoinHandle<()>> {
        let socket = UdpSocket::bind(SocketAddr::from((address, 53))).await?;
        let names = self.clone();
        Ok(tokio::task::spawn_local(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = names.answer(&buffer[..length]) {
                    _ = socket.send_to(&answer, from).await;
                }
            }
        }))
    }

    /// Publishes a name, in the place of an older address.
    pub(crate) fn publish(&self, name: &str, address: Ipv4Addr) {
        self.now.borrow_mut().insert(name.to_owned(), address);
    }

    pub(crate) fn withdraw(&self, name: &str) {
        self.now.borrow_mut().remove(name);
    }

    /// Freezes the answers as they are at this moment, or makes them true again.
    pub(crate) fn set_stale(&self, stale: bool) {
        *self.stale.borrow_mut() = stale.then(|| self.now.borrow().clone());
    }

    /// Makes every name unknown, until they are no longer stale.
    pub(crate) fn set_unknown(&self) {
        *self.stale.borrow_mut() = Some(BTreeMap::new());
    }

    fn find(&self, name: &str) -> Option<Ipv4Addr> {
        match &*self.stale.borrow() {
            Some(old) => old.get(name).copied(),
            None => self.now.borrow().get(name).copied(),
        }
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = question(query)?;
        let kind = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
        let found = self.find(&name);
        let address = found.filter(|_| kind == TYPE_A);
        let mut answer = query.get(..end + 4)?.to_vec();
        // A response with authority, to one question, and nothing in the further sections.
        answer[2] = 0x84 | (query[2] & 1);
        answer[3] = if found.is_some() { 0 } else { NO_SUCH_NAME };
        answer[6..HEADER].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
        if let Some(address) = address {
            // The question's name, A, IN, to be kept for no time, four bytes.
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
    }
}

/// The name asked for, and where it ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = vec![];
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, kind, 0, 1, 0, 0, 41]);
        query
    }

    #[test]
    fn names_are_answered_as_they_are_or_as_they_were() {
        let names = Names::default();
        names.publish("a.b", Ipv4Addr::new(10, 1, 1, 2));
        let first = names.answer(&query("A.b", 1)).unwrap();
        assert_eq!(first[3], 0);
        assert!(first.ends_with(&[10, 1, 1, 2]));
        names.set_stale(true);
        names.publish("a.b", Ipv4Addr::new(10, 1, 1, 3));
        names.publish("c.b", Ipv4Addr::new(10, 1, 1, 4));
        assert!(names.answer(&query("a.b", 1)).unwrap().ends_with(&[10, 1, 1, 2]));
        assert_eq!(names.answer(&query("c.b", 1)).unwrap()[3], NO_SUCH_NAME);
        names.set_unknown();
        assert_eq!(names.answer(&query("a.b", 1)).unwrap()[3], NO_SUCH_NAME);
        names.set_stale(false);
        assert!(names.answer(&query("a.b", 1)).unwrap().ends_with(&[10, 1, 1, 3]));
    }

    #[test]
    fn a_name_without_that_kind_of_address_is_no_error() {
        let names = Names::default();
        names.publish("a.b", Ipv4Addr::LOCALHOST);
        let answer = names.answer(&query("a.b", 28)).unwrap();
        assert_eq!((answer[3], answer[7]), (0, 0));
    }
}
