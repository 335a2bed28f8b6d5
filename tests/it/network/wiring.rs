//! Who is wired to whom, and what they say to each other.

use ribwatch::{
    engine::{self, Retention},
    types::Family,
};

use super::{Network, ROUTERS, Side, V4, V6};
use crate::net::{secs, speaker};

impl Network {
    /// A full mesh inside each AS (RFC 4271 §9.2 passes nothing on from inside to inside), a tree of links between
    /// ASes, and some more.
    pub(super) fn wire(&mut self) {
        for b in 0..ROUTERS {
            for a in 0..b {
                if self.routers[a].asn == self.routers[b].asn {
                    self.link(a, b, &[V4, V6]);
                }
            }
        }
        let firsts: Vec<usize> = (1..ROUTERS).filter(|at| self.routers[*at].asn != self.routers[at - 1].asn).collect();
        for first in firsts {
            let a = self.dice.roll(first);
            self.link(a, first, &[V4, V6]);
        }
        for _ in 0..8 {
            let (a, b) = (self.dice.roll(ROUTERS), self.dice.roll(ROUTERS));
            if self.routers[a].asn != self.routers[b].asn {
                let families: &[&[Family]] = &[&[V4], &[V6], &[V4, V6]];
                let families = families[self.dice.roll(3)];
                self.link(a.min(b), a.max(b), families);
            }
        }
    }

    fn link(&mut self, a: usize, b: usize, families: &[Family]) {
        let external = self.routers[a].asn != self.routers[b].asn;
        let mut settings = [a, b].map(|router| {
            let mut settings = speaker(self.routers[router].asn, 1 + router as u8);
            settings.families = families.to_vec();
            settings.hold_time = secs([9, 30, 90][self.dice.roll(3)]);
            settings.passive = self.dice.roll(6) == 0;
            settings.extended_message = self.dice.roll(2) == 0;
            settings.enhanced_refresh = self.dice.roll(2) == 0;
            settings.end_of_rib = self.dice.roll(6) > 0;
            if self.dice.roll(5) > 0 {
                settings.restart.restart_time = Some(secs([20, 60, 120][self.dice.roll(3)]));
            }
            if self.dice.roll(4) > 0 {
                settings.restart.long_lived = Some(secs([40, 200][self.dice.roll(2)]));
            }
            settings
        });
        if settings[0].passive {
            settings[1].passive = false; // two of them would wait for ever
        }
        let [to_b, to_a] = settings;
        let (end_a, end_b) = self.net.link(to_b.clone(), to_a.clone());
        // IPv6 next hops are told over IPv6 only.
        if families.contains(&V6) {
            self.net.over_ipv6(end_a);
        }
        let small = [a, b].iter().all(|router| self.routers[*router].asn <= 0xffff);
        if small && self.dice.roll(3) == 0 {
            self.net.two_octet(end_a);
        }
        for (router, end, far, session) in [(a, end_a, end_b, to_b), (b, end_b, end_a, to_a)] {
            let mut settings = engine::PeerSettings::new(format!("end {}", end.number()).into());
            settings.import = self.policy(external);
            settings.export = self.policy(external);
            if !external && self.dice.roll(4) == 0 {
                settings.export_options.next_hop = engine::NextHopRule::OwnAddress;
            }
            settings.retention = Retention {
                helper: self.dice.roll(6) > 0,
                stale_time_max: secs([30, 90][self.dice.roll(2)]),
                long_lived_max: secs([0, 50, 100, 300][self.dice.roll(4)]),
            };
            assert_eq!(self.sides.len(), end.number());
            let far = far.number();
            self.sides.push(Side { router, end, far, settings, session, up: false, kept: None, taken: 0 });
        }
    }
}
