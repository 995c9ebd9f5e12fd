//! UDP.

use std::io::ErrorKind;
use std::net::{ToSocketAddrs, UdpSocket};

use anyhow::Context;

use super::apart::unless_stopped;
use super::{Batch, Outlet, Terms, Unsent};

/// A datagram for each record.
pub struct Datagrams {
    to: String,
    socket: UdpSocket,
    terms: Terms,
    /// One that begins with a header.
    datagram: Vec<u8>,
    /// How many the system has taken.
    taken: u64,
}

impl Datagrams {
    /// To a host.
    ///
    /// # Errors
    /// When it has no address.
    pub fn connect(to: &str, terms: Terms) -> anyhow::Result<Datagrams> {
        let unknown = || format!("cannot send to udp://{to}");
        let place = to.to_owned();
        let find = move || Ok(place.to_socket_addrs()?.next());
        let found = unless_stopped(&terms.stop, to, find).with_context(unknown)?;
        let address = found.with_context(unknown)?;
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).with_context(unknown)?;
        socket.connect(address).with_context(unknown)?;
        let datagram = terms.header.clone();
        Ok(Datagrams { to: to.to_owned(), socket, terms, datagram, taken: 0 })
    }

    fn put(&mut self, record: &[u8]) -> std::io::Result<usize> {
        let header = self.terms.header.len();
        let whole = if header == 0 {
            record
        } else {
            self.datagram.truncate(header);
            self.datagram.extend_from_slice(record);
            &self.datagram
        };
        loop {
            match self.socket.send(whole) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The queue is full.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.terms.stop.is_asked() {
                        return Err(error);
                    }
                }
                sent => return sent,
            }
        }
    }
}

impl Outlet for Datagrams {
    fn send(&mut self, batch: Batch<'_>) -> Result<(), Unsent> {
        let mut failed = None;
        for (_, record) in batch.records() {
            match self.put(record) {
                Ok(_) => self.taken += 1,
                // The same in all that fail so, so that it is told once.
                Err(error) => failed = Some(format!("udp://{}: {error}", self.to)),
            }
        }
        let has = Some(self.taken);
        failed.map_or(Ok(()), |cause| Err(Unsent { cause, over: false, has }))
    }
}
