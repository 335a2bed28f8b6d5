//! The subnets that this machine is on, read again and again: what `next_hop_check = "connected"` asks for (RFC 4271
//! §9.1.2.1). What is made of them is the engine's.

use std::{io, time::Duration};

use tracing::warn;

use super::sockopt::{self, InterfaceAddress};
use crate::types::Prefix;

/// How often interfaces are looked at: a route through an address that went is used no longer than that.
const LOOK: Duration = Duration::from_secs(5);

/// Tells `publish` of the subnets now, and later each time they are others. Ends never.
pub async fn watch(publish: impl Fn(Vec<Prefix>)) {
    let mut known = Known::default();
    loop {
        if let Some(subnets) = known.take(sockopt::interface_addresses()) {
            publish(subnets);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was read last.
#[derive(Default)]
struct Known {
    subnets: Option<Vec<Prefix>>,
    failing: bool,
}

impl Known {
    /// Takes a reading; the subnets, if they are news. A failure is said once, and what was read before counts on.
    fn take(&mut self, read: io::Result<Vec<InterfaceAddress>>) -> Option<Vec<Prefix>> {
        let failed = std::mem::replace(&mut self.failing, read.is_err());
        match read {
            Ok(addresses) => {
                let subnets = subnets(&addresses);
                let is_news = self.subnets.as_ref() != Some(&subnets);
                self.subnets = Some(subnets);
                self.subnets.clone().filter(|_| is_news)
            }
            Err(why) => {
                if !failed {
                    warn!("the addresses of our interfaces cannot be read: {why}; what was read before counts");
                }
                None
            }
        }
    }
}

/// The subnets of all interfaces but loopback, which leads to nobody else; in order, each once.
fn subnets(addresses: &[InterfaceAddress]) -> Vec<Prefix> {
    let mut subnets: Vec<Prefix> = addresses.iter().filter(|one| !one.loopback).map(|one| one.subnet).collect();
    subnets.sort_unstable();
    subnets.dedup();
    subnets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(loopback: bool, address: &str, subnet: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: b"eth0".to_vec(),
            loopback,
            address: address.parse().unwrap(),
            subnet: subnet.parse().unwrap(),
        }
    }

    #[test]
    fn subnets_are_told_when_they_change_and_a_failure_changes_nothing() {
        let two = || vec![on(false, "192.0.2.1", "192.0.2.0/24"), on(true, "127.0.0.1", "127.0.0.0/8")];
        let again = [two(), vec![on(false, "192.0.2.2", "192.0.2.0/24")]].concat();
        let more = [vec![on(false, "2001:db8::1", "2001:db8::/64")], two()].concat();
        let failure = || Err(io::Error::other("no"));
        let mut known = Known::default();
        let readings = [Ok(two()), Ok(again), failure(), Ok(more), failure(), failure(), Ok(Vec::new())];
        let told = readings.map(|read| {
            let subnets = known.take(read)?;
            Some(subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        });
        let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
        let both = "192.0.2.0/24 2001:db8::/64";
        assert_eq!(told, [Some("192.0.2.0/24"), None, None, Some(both), None, None, Some("")]);
        assert!(known.take(Ok(Vec::new())).is_none());
    }
}
