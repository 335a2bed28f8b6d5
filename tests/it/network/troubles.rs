//! What goes right and wrong.

use ribwatch::{
    engine,
    session::Input,
    types::Prefix,
    view::{LocalRoute, Query},
    wire::bgp::community::Community,
};

use super::{Network, ROUTERS, V4, V6, fresh_engine, library};
use crate::{
    lab::{family_of, path},
    net::secs,
};

impl Network {
    fn originate(&mut self, router: usize, prefix: Prefix) {
        let mut attrs = path("");
        if self.dice.roll(3) == 0 {
            attrs = attrs.med(self.dice.roll(4) as u32);
        }
        if self.dice.roll(4) == 0 {
            attrs = attrs.raw(0xc0, 213, &[self.dice.roll(3) as u8; 5]);
        }
        if self.dice.roll(10) == 0 {
            attrs = attrs.community(Community::NO_EXPORT);
        }
        let octets = match family_of(prefix) {
            V6 => attrs.octets(V6, "::".parse().unwrap()),
            family => attrs.octets(family, "0.0.0.0".parse().unwrap()),
        };
        self.routers[router].originated.insert(prefix, octets.clone());
        if !self.routers[router].dead {
            self.ask(router, &Query::Originate(LocalRoute::plain(family_of(prefix), prefix, octets)));
        }
    }

    fn withdraw(&mut self, router: usize) {
        let mine: Vec<Prefix> = self.routers[router].originated.keys().copied().collect();
        if !mine.is_empty() {
            let prefix = mine[self.dice.roll(mine.len())];
            self.routers[router].originated.remove(&prefix);
            if !self.routers[router].dead {
                self.ask(router, &Query::Withdraw { family: family_of(prefix), nlri: prefix.into() });
            }
        }
    }

    /// The router dies without a word.
    fn die(&mut self, router: usize) {
        self.routers[router].engine = fresh_engine(self.routers[router].asn, router);
        self.routers[router].dead = true;
        for at in self.sides_of(router) {
            (self.sides[at].up, self.sides[at].kept) = (false, None);
            self.net.halt(self.sides[at].end);
        }
    }

    /// It starts again; its own routes are in its configuration. It may know that it restarted: then it says so, and waits
    /// for what its neighbours have to say (RFC 4724 §4.1).
    fn revive(&mut self, router: usize) {
        self.routers[router].dead = false;
        let sides = self.sides_of(router);
        let until = (self.dice.roll(3) > 0).then(|| self.net.now() + secs(60));
        if let Some(until) = until {
            let expected = sides.iter().map(|at| self.net.address(self.sides[self.sides[*at].far].end)).collect();
            self.tell_engine(router, engine::Input::Restarted { expected, until });
        }
        let library = library(router, self.routers[router].edition);
        self.tell_engine(router, engine::Input::Policies(library));
        for (prefix, attrs) in self.routers[router].originated.clone() {
            self.ask(router, &Query::Originate(LocalRoute::plain(family_of(prefix), prefix, attrs)));
        }
        for at in sides {
            self.net.revive(self.sides[at].end, until);
        }
    }

    pub(super) fn revive_all(&mut self) {
        for router in 0..ROUTERS {
            if self.routers[router].dead {
                self.revive(router);
            }
        }
    }

    fn sides_of(&self, router: usize) -> Vec<usize> {
        (0..self.sides.len()).filter(|at| self.sides[*at].router == router).collect()
    }

    /// Its process is back in no time, or after a while during which the world goes on: too late for some neighbours.
    fn restart(&mut self, router: usize) {
        if self.routers[router].dead {
            return self.revive(router);
        }
        self.die(router);
        if self.dice.roll(2) == 0 {
            self.revive(router);
        }
        let time = secs([0, 3, 40, 100, 300][self.dice.roll(5)]);
        self.run(time);
    }

    /// One thing goes right or wrong somewhere.
    pub(super) fn disturb(&mut self) {
        let router = self.dice.roll(ROUTERS);
        let end = self.sides[self.dice.roll(self.sides.len())].end;
        let family = [V4, V6][self.dice.roll(2)];
        // A hand on the session of a dead router moves nothing.
        let alive = !self.routers[self.sides[end.number()].router].dead;
        match self.dice.roll(100) {
            0..5 => self.change_policies(router),
            5..10 => self.change_neighbor(end.number()),
            10..50 => {
                let prefix = self.prefixes[self.dice.roll(self.prefixes.len())];
                self.originate(router, prefix);
            }
            50..72 => self.withdraw(router),
            72..84 => self.net.cut(end),
            84..87 if alive => self.net.give(end, Input::Reset { text: String::new(), hard: self.dice.roll(2) == 0 }),
            87..91 if alive => self.net.give(end, Input::SendRefresh { family }),
            91..94 => {
                self.net.silence(end);
                let time = secs(self.dice.roll(100) as u64);
                self.run(time);
                self.net.heal(end);
            }
            _ => self.restart(router),
        }
        // What the hand on a session caused comes before the next thing.
        for (end, happening) in self.net.happened() {
            self.take(end, happening);
        }
        self.flush_all();
    }
}
