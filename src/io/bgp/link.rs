//! Which subnet both ends of a connection are on, from the addresses of our interfaces: what a third-party next hop
//! (RFC 4271 §5.1.3) depends on. What is made of it is the engine's.

use std::net::IpAddr;

use crate::{
    io::sockopt::{self, InterfaceAddress},
    session::negotiate::Link,
};

/// The subnet that holds both ends, as the interfaces are configured now; `None` also where the kernel does not tell.
pub(super) fn between(local: IpAddr, remote: IpAddr) -> Option<Link> {
    find(&sockopt::interface_addresses().ok()?, local.to_canonical(), remote.to_canonical())
}

/// Loopback is no link: whoever is there is this machine. Nor are ends with link-local addresses told apart by a subnet.
fn find(addresses: &[InterfaceAddress], local: IpAddr, remote: IpAddr) -> Option<Link> {
    if matches!(local, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return None;
    }
    let ours = addresses.iter().find(|one| one.address == local && !one.loopback && one.subnet.contains(remote))?;
    let of_interface = addresses.iter().filter(|one| one.interface == ours.interface);
    let link_local = of_interface.filter_map(|one| match one.address {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        _ => None,
    });
    Some(Link { subnet: ours.subnet, link_local: link_local.min() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(interface: &str, address: &str, subnet: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: interface.into(),
            loopback: interface == "lo",
            address: address.parse().unwrap(),
            subnet: subnet.parse().unwrap(),
        }
    }

    #[test]
    fn a_link_is_the_subnet_that_holds_both_ends() {
        let addresses = [
            on("lo", "127.0.0.1", "127.0.0.0/8"),
            on("eth0", "192.0.2.1", "192.0.2.0/24"),
            on("eth0", "2001:db8::1", "2001:db8::/64"),
            on("eth1", "198.51.100.1", "198.51.100.0/31"),
            on("eth1", "fe80::2", "fe80::/64"),
            on("eth0", "fe80::1", "fe80::/64"),
            on("ppp0", "203.0.113.1", "203.0.113.1/32"),
        ];
        // (our end, the other end, the subnet and our link-local address there)
        let rows = [
            ("192.0.2.1", "192.0.2.9", Some(("192.0.2.0/24", "fe80::1"))),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.9", Some(("192.0.2.0/24", "fe80::1"))),
            ("2001:db8::1", "2001:db8::9", Some(("2001:db8::/64", "fe80::1"))),
            ("198.51.100.1", "198.51.100.0", Some(("198.51.100.0/31", "fe80::2"))),
            ("192.0.2.1", "198.51.100.0", None), // more than one hop away
            ("203.0.113.1", "203.0.113.2", None),
            ("127.0.0.1", "127.0.0.2", None),
            ("fe80::1", "fe80::9", None),
            ("192.0.2.2", "192.0.2.9", None), // none of our addresses
        ];
        for (local, remote, expected) in rows {
            let got = find(
                &addresses,
                local.parse::<IpAddr>().unwrap().to_canonical(),
                remote.parse::<IpAddr>().unwrap().to_canonical(),
            );
            let link = |(subnet, address): (&str, &str)| Link {
                subnet: subnet.parse().unwrap(),
                link_local: address.parse().ok(),
            };
            let expected = expected.map(link);
            assert_eq!(got, expected, "{local} to {remote}");
        }
    }

    #[test]
    fn the_kernel_tells_of_loopback_with_its_length() {
        let addresses = sockopt::interface_addresses().unwrap();
        let expected = on("lo", "127.0.0.1", "127.0.0.0/8");
        assert!(addresses.contains(&expected), "{addresses:?}");
    }
}
