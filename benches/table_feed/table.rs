//! The made table: prefixes with the lengths of the real one, and attribute sets shaped like real ones.
//!
//! What is copied from reality: about 60 % of the prefixes are /24; neighbours in address space often share a set; most
//! sets carry one or two prefixes and a few carry hundreds; paths have 4.2 ASNs on average, prepending included; one
//! set in five has a MED, two in three have communities; a sender packs by set, so one set is mostly one UPDATE.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::mrt::Recorder;
use crate::random::Random;
use crate::steady::Loop;
use crate::wire::{self, Key};

/// How large, how many, which.
pub struct Shape {
    pub prefixes: usize,
    pub peers: usize,
    /// Distinct attribute sets of each peer.
    pub sets: usize,
    pub seed: u64,
    /// Each peer announces a part of its own; else every peer announces every prefix.
    pub split: bool,
    /// So many of the /24s come from [`WATCHED_ORIGIN`] at every peer, and never change.
    pub watched: usize,
    /// Prefixes of each peer that change in a steady stream; 0: there is none.
    pub steady: usize,
}

/// Where the watched prefixes come from: a number for documentation (RFC 5398).
pub const WATCHED_ORIGIN: u32 = 64500;

/// Encoded streams, and for a made table what is needed to change it.
pub struct Table {
    /// UPDATEs back to back, one stream for each sending peer.
    pub initial: Vec<Arc<Vec<u8>>>,
    pub four_octet_as: bool,
    /// The ASN that the first sending peer must have: that of a recorded feed.
    pub peer_asn: Option<u32>,
    /// The ASN that the daemon must have: that of a feed recorded on an iBGP session.
    local_asn: Option<u32>,
    updates: usize,
    prefixes: usize,
    sets: usize,
    mean_path_len: f64,
    recipe: Option<Recipe>,
    /// Prefixes from [`WATCHED_ORIGIN`], in order.
    pub watched: Vec<Key>,
    /// What each peer sends in a steady stream.
    pub steady: Vec<Loop>,
}

/// One attribute set of a made table and the prefixes that carry it.
pub struct Group {
    attributes: Vec<u8>,
    pub keys: Vec<Key>,
}

/// What `churn` needs: the groups of the first peer and the way to new sets.
struct Recipe {
    groups: Vec<Group>,
    sets: SetMaker,
    seed: u64,
}

impl Table {
    /// Makes the table that `shape` describes; peer `i` has the ASN `first_asn + i`.
    pub fn make(shape: &Shape, first_asn: u32) -> Self {
        let mut keys = prefixes(shape.prefixes, &mut Random::new(shape.seed, 1));
        let watched = take_watched(&mut keys, shape.watched);
        let mut table = Table {
            initial: Vec::new(),
            four_octet_as: true,
            peer_asn: None,
            local_asn: None,
            updates: 0,
            prefixes: shape.prefixes,
            sets: 0,
            mean_path_len: 0.0,
            recipe: None,
            watched,
            steady: Vec::new(),
        };
        let mut asns_in_paths = 0;
        for peer in 0..shape.peers {
            let mut random = Random::new(shape.seed, 100 + peer as u64);
            let mut sets = SetMaker::new(first_asn + peer as u32, peer, shape.seed);
            let part = if shape.split { part_of(&keys, peer, shape.peers) } else { &keys };
            let set_count = if shape.split { shape.sets / shape.peers } else { shape.sets };
            let groups: Vec<Group> = partition(part, set_count, &mut random)
                .into_iter()
                .map(|keys| Group { attributes: sets.make(&mut random), keys })
                .collect();
            let mut stream = Vec::new();
            for group in &groups {
                table.updates += wire::announce(&group.attributes, &group.keys, &mut stream);
            }
            asns_in_paths += sets.asns;
            for some in table.watched.chunks(10) {
                let attributes = sets.make_from(Some(WATCHED_ORIGIN), &mut random);
                table.updates += wire::announce(&attributes, some, &mut stream);
            }
            if shape.steady > 0 {
                table.steady.push(Loop::make(&groups, shape.steady, &mut sets, &mut random));
            }
            // An End-of-RIB closes the initial table (RFC 4724 §2).
            wire::message(wire::UPDATE, &[0, 0, 0, 0], &mut stream);
            table.sets += groups.len();
            table.initial.push(Arc::new(stream));
            if peer == 0 {
                table.recipe = Some(Recipe { groups, sets, seed: shape.seed });
            }
        }
        table.mean_path_len = asns_in_paths as f64 / table.sets.max(1) as f64;
        table
    }

    /// A recorded feed; it has no churn of its own.
    pub fn recorded(from: &Recorder, updates: usize, stream: Arc<Vec<u8>>) -> Self {
        let mut keys = HashSet::new();
        let mut left = stream.as_slice();
        while let Ok(Some((_, message))) = wire::first_message(left) {
            left = left.get(message.len()..).unwrap_or_default();
            // An UPDATE that we cannot read is sent all the same: the daemon decides.
            let _ = wire::changes(message, from.four_octet_as, 0, |change| {
                match change {
                    wire::Change::Announce(key, _) => keys.insert(key),
                    wire::Change::Withdraw(key) => keys.remove(&key),
                };
            });
        }
        Table {
            initial: vec![stream],
            four_octet_as: from.four_octet_as,
            peer_asn: Some(from.peer_asn),
            local_asn: (from.local_asn == from.peer_asn).then_some(from.local_asn),
            updates,
            prefixes: keys.len(),
            sets: 0,
            mean_path_len: 0.0,
            recipe: None,
            watched: Vec::new(),
            steady: Vec::new(),
        }
    }

    /// The UPDATEs of churn round `round` for the first peer: of a fifth of the table, three quarters get a new
    /// attribute set, one quarter is withdrawn first and then comes back with a new one.
    pub fn churn(&mut self, round: u64) -> Vec<Arc<Vec<u8>>> {
        let Some(recipe) = &mut self.recipe else { return vec![Arc::default()] };
        let mut random = Random::new(recipe.seed, 10_000 + round);
        let (mut withdrawals, mut announcements) = (Vec::new(), Vec::new());
        for group in &mut recipe.groups {
            if !random.chance(20) {
                continue;
            }
            if random.chance(25) {
                wire::withdraw(&group.keys, &mut withdrawals);
            }
            group.attributes = recipe.sets.make(&mut random);
            wire::announce(&group.attributes, &group.keys, &mut announcements);
        }
        withdrawals.extend_from_slice(&announcements);
        vec![Arc::new(withdrawals)]
    }

    /// The UPDATEs that take back all that the first peer announces.
    pub fn withdrawal(&self) -> Vec<Arc<Vec<u8>>> {
        let mut octets = Vec::new();
        for group in self.recipe.iter().flat_map(|recipe| &recipe.groups) {
            wire::withdraw(&group.keys, &mut octets);
        }
        vec![Arc::new(octets)]
    }

    /// The prefixes that the first peer announces, one per line, in order.
    pub fn list(&self) -> String {
        let mut keys: Vec<Key> =
            self.recipe.iter().flat_map(|recipe| &recipe.groups).flat_map(|g| &g.keys).copied().collect();
        keys.sort_unstable();
        lines(&keys)
    }

    /// Members of the JSON object that describes the table.
    pub fn describe(&self) -> String {
        let octets: usize = self.initial.iter().map(|stream| stream.len()).sum();
        format!(
            "\"local_asn\":{},\"peers\":{},\"prefixes\":{},\"sets\":{},\"updates\":{},\"octets\":{octets},\"mean_path_len\":{:.2}",
            self.local_asn.unwrap_or(0),
            self.initial.len(),
            self.prefixes,
            self.sets,
            self.updates,
            self.mean_path_len
        )
    }
}

/// Shares of the prefix lengths /8 to /24 in thousandths, rounded from a full table.
const LENGTHS: [u32; 17] = [1, 1, 1, 1, 1, 1, 1, 2, 14, 8, 14, 25, 43, 48, 110, 98, 631];

/// `count` distinct prefixes in address order. Blocks lie side by side, as allocations do.
fn prefixes(count: usize, random: &mut Random) -> Vec<Key> {
    let mut keys = HashSet::with_capacity(count);
    let mut address = 0u32;
    while keys.len() < count {
        let len = 8 + random.weighted(&LENGTHS) as u32;
        let size = 1u32 << (32 - len);
        if !random.chance(75) {
            address = random.next() as u32;
        }
        address &= !(size - 1);
        if is_public(address) {
            keys.insert(wire::key(address, len as u8));
        }
        address = address.wrapping_add(size);
    }
    let mut keys: Vec<Key> = keys.into_iter().collect();
    keys.sort_unstable();
    keys
}

/// False for what a router may refuse as martian.
fn is_public(address: u32) -> bool {
    let [a, b, ..] = address.to_be_bytes();
    !matches!(
        (a, b),
        (0 | 10 | 127 | 224.., _)
            | (100, 64..=127)
            | (169, 254)
            | (172, 16..=31)
            | (192, 0 | 168)
            | (198, 18..=51)
            | (203, 0)
    )
}

/// Prefixes, one per line.
pub fn lines(keys: &[Key]) -> String {
    keys.iter().map(|key| format!("{}/{}\n", Ipv4Addr::from((key >> 32) as u32), key & 0xff)).collect()
}

/// Takes `count` of the /24s out of `keys`, at equal distances: a network has prefixes all over the table.
fn take_watched(keys: &mut Vec<Key>, count: usize) -> Vec<Key> {
    let places: Vec<usize> = (0..keys.len()).filter(|at| keys[*at] & 0xff == 24).collect();
    let chosen = (0..count.min(places.len())).map(|n| places[n * places.len() / count]);
    let watched: Vec<Key> = chosen.map(|at| keys[at]).collect();
    let taken: HashSet<Key> = watched.iter().copied().collect();
    keys.retain(|key| !taken.contains(key));
    watched
}

/// The share of one peer of several.
fn part_of(keys: &[Key], peer: usize, peers: usize) -> &[Key] {
    &keys[keys.len() * peer / peers..keys.len() * (peer + 1) / peers]
}

/// Deals all prefixes to `sets` groups, every group at least one, sizes with a long tail; groups come in random order.
fn partition(keys: &[Key], sets: usize, random: &mut Random) -> Vec<Vec<Key>> {
    let sets = sets.clamp(1, keys.len());
    let mut runs: Vec<&[Key]> = Vec::new();
    let mut left = keys;
    while !left.is_empty() {
        let (run, rest) = left.split_at((1 + random.below(5)).min(left.len()));
        runs.push(run);
        left = rest;
    }
    random.shuffle(&mut runs);
    let dealt: Vec<Key> = runs.concat();
    let mut sizes = vec![1usize; sets];
    let mut spare = keys.len() - sets;
    while spare > 0 {
        // Pareto with exponent 1.1: half of the sets stay at one or two prefixes, some get hundreds.
        let extra = (random.unit().max(1e-4).powf(-1.0 / 1.1) - 1.0) as usize;
        let extra = extra.min(spare);
        sizes[random.below(sets)] += extra;
        spare -= extra;
    }
    let mut at = 0;
    sizes
        .into_iter()
        .map(|size| {
            at += size;
            dealt[at - size..at].to_vec()
        })
        .collect()
}

/// Next hop of peer number `peer`: a documentation address, since some daemons refuse 127.0.0.0/8.
pub fn next_hop(peer: usize) -> [u8; 4] {
    [198, 51, 100, 1 + peer as u8]
}

/// Makes attribute sets of one peer, no two alike.
pub struct SetMaker {
    peer_asn: u32,
    next_hop: [u8; 4],
    /// ASNs that carry others' traffic: few, and some much more often than others.
    transits: Vec<u32>,
    made: HashSet<Vec<u8>>,
    /// ASNs in all paths made so far.
    asns: usize,
}

impl SetMaker {
    fn new(peer_asn: u32, peer: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 2);
        let transits = (0..6000).map(|_| public_asn(&mut random)).collect();
        let next_hop = next_hop(peer);
        SetMaker { peer_asn, next_hop, transits, made: HashSet::new(), asns: 0 }
    }

    pub fn make(&mut self, random: &mut Random) -> Vec<u8> {
        self.make_from(None, random)
    }

    /// A set whose path ends with `origin`, if one is given.
    pub fn make_from(&mut self, origin: Option<u32>, random: &mut Random) -> Vec<u8> {
        loop {
            let mut path = self.path(random);
            if let Some(origin) = origin {
                let own = path[path.len() - 1];
                path.iter_mut().filter(|asn| **asn == own).for_each(|asn| *asn = origin);
            }
            let attributes = self.encode(&path, random);
            if self.made.insert(attributes.clone()) {
                self.asns += path.len();
                return attributes;
            }
        }
    }

    /// Ourselves, zero to five transits, an origin which prepends itself now and then: 4.2 on average.
    fn path(&self, random: &mut Random) -> Vec<u32> {
        let mut path = vec![self.peer_asn];
        for _ in 0..random.weighted(&[6, 30, 38, 18, 6, 2]) {
            // The square makes the first of the list the busiest.
            let at = random.unit() * random.unit();
            let transit = self.transits[(at * self.transits.len() as f64) as usize];
            path.push(transit);
            if random.chance(2) {
                path.push(transit);
            }
        }
        let origin = public_asn(random);
        let times = if random.chance(12) { 2 + random.below(3) } else { 1 };
        path.extend(std::iter::repeat_n(origin, times));
        path
    }

    fn encode(&self, path: &[u32], random: &mut Random) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let origin = [0, 2, 1][random.weighted(&[90, 9, 1])];
        wire::attribute(0x40, 1, &[origin], &mut out);
        let mut value = vec![2, path.len() as u8];
        path.iter().for_each(|asn| value.extend_from_slice(&asn.to_be_bytes()));
        wire::attribute(0x40, 2, &value, &mut out);
        wire::attribute(0x40, 3, &self.next_hop, &mut out);
        if random.chance(20) {
            wire::attribute(0x80, 4, &(random.below(40) as u32 * 10).to_be_bytes(), &mut out);
        }
        if random.chance(3) {
            wire::attribute(0x40, 6, &[], &mut out);
            let mut value = path.last().copied().unwrap_or_default().to_be_bytes().to_vec();
            value.extend_from_slice(&(random.next() as u32 | 0x0100_0000).to_be_bytes());
            wire::attribute(0xc0, 7, &value, &mut out);
        }
        if random.chance(66) {
            let count = 1 + random.weighted(&[20, 20, 16, 12, 9, 7, 5, 4, 3, 2, 1, 1]);
            let mut communities: Vec<[u8; 4]> = (0..count).map(|_| self.community(path, random)).collect();
            communities.sort_unstable();
            communities.dedup();
            wire::attribute(0xc0, 8, &communities.concat(), &mut out);
        }
        if random.chance(8) {
            let parts = [path.last().copied().unwrap_or_default(), random.below(50) as u32, random.below(500) as u32];
            let value: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
            wire::attribute(0xc0, 32, &value, &mut out);
        }
        out
    }

    /// An ASN of the path (what fits of it) : one of a few hundred values.
    fn community(&self, path: &[u32], random: &mut Random) -> [u8; 4] {
        let asn = (path[random.below(path.len())] % 64_000) as u16;
        let value = (random.below(30) * 100 + random.below(8)) as u16;
        let ([a, b], [c, d]) = (asn.to_be_bytes(), value.to_be_bytes());
        [a, b, c, d]
    }
}

/// An ASN that no bogon filter catches; one in three needs four octets.
fn public_asn(random: &mut Random) -> u32 {
    if random.chance(33) { 196_608 + random.below(80_000) as u32 } else { 24_000 + random.below(40_000) as u32 }
}
