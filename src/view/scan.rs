//! Reading a table page by page: the engine gives bounded pages, a reader takes routes one at a time, in
//! messages of its own size, and can go on later from a token. The engine's work per page is bounded, and it
//! works only when the reader asks for more.

use std::{collections::HashMap, sync::Arc};

use crate::{
    types::{Family, PeerId, Prefix},
    view::{Answer, Backend, Cursor, Nlri, Query, Refusal, RoutePage, RouteRow, filter::RouteFilter},
    wire::bgp::attribute::AttrSet,
};

/// Routes in one page of the engine: enough to make the way there cheap, few enough to be read in well under a
/// millisecond.
const PAGE_ROUTES: usize = 512;

/// Most routes of one prefix that a token can say were read; bounds the page that going on costs.
const SKIP_MAX: u32 = 1 << 16;

/// A place in a table: behind everything up to `after`, and behind the first routes of the prefix that follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Position {
    after: Option<Cursor>,
    inside: Option<Inside>,
}

/// The prefix in the middle of which a reader stopped, and how many of its routes it has read.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Inside {
    prefix: Cursor,
    read: u32,
}

/// A list of routes being read.
pub struct Scan {
    filter: RouteFilter,
    /// Where the next page starts; `None` when the list is complete.
    next: Option<Position>,
    /// The last prefix that was read to its end.
    after: Option<Cursor>,
    /// Routes read of the prefix at `page.rows[at]`.
    read: u32,
    page: RoutePage,
    at: usize,
    /// Verdicts of the text filter on the sets of this page, by where they start.
    verdicts: HashMap<u32, bool>,
    scratch: String,
}

impl Scan {
    /// Starts at the beginning of the table.
    pub fn new(filter: RouteFilter) -> Self {
        Self::at(filter, Position::default())
    }

    /// Goes on where `token` says; an empty token is the beginning.
    ///
    /// # Errors
    /// `Invalid`: not a token, or one of another question.
    pub fn resume(filter: RouteFilter, token: &str) -> Result<Self, Refusal> {
        let position = if token.is_empty() { Position::default() } else { read_token(token, filter.fingerprint)? };
        Ok(Self::at(filter, position))
    }

    fn at(filter: RouteFilter, position: Position) -> Self {
        Self {
            filter,
            next: Some(position),
            after: None,
            read: 0,
            page: RoutePage::default(),
            at: 0,
            verdicts: HashMap::new(),
            scratch: String::new(),
        }
    }

    /// Fetches the next page of the engine, once `next_route` has given `None`. False: the list is complete.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn load(&mut self, backend: &dyn Backend) -> Result<bool, Refusal> {
        let Some(start) = self.next.take() else { return Ok(false) };
        let read = start.inside.as_ref().map_or(0, |inside| inside.read);
        let query = self.filter.query(start.after.clone(), PAGE_ROUTES + read as usize);
        let Answer::Routes(page) = backend.query(Query::Routes(query)).await? else {
            return Err(Refusal::NotNow("the engine did not answer a question about routes with routes".into()));
        };
        self.next = page.next.clone().map(|cursor| Position { after: Some(cursor), inside: None });
        self.page = page;
        self.verdicts.clear();
        (self.at, self.after, self.read) = (0, start.after, 0);
        if let Some(inside) = start.inside {
            while self.read < inside.read && self.page.rows.get(self.at).is_some_and(|row| is_of(row, &inside.prefix)) {
                self.step();
            }
        }
        Ok(true)
    }

    /// The next route of the page at hand that passes the filter.
    pub fn next_route(&mut self) -> Option<(&RouteRow, AttrSet<'_>)> {
        while self.at < self.page.rows.len() {
            let at = self.at;
            self.step();
            if self.passes(at) {
                let row = self.page.rows.get(at)?;
                return Some((row, self.page.attrs(row)));
            }
        }
        None
    }

    /// All routes of the page at hand, whether or not they pass the filter.
    pub fn page(&self) -> &RoutePage {
        &self.page
    }

    /// Number of the last change that the page at hand includes.
    pub fn seq(&self) -> u64 {
        self.page.seq
    }

    /// Names the place behind the last route given; empty when nothing follows.
    pub fn token(&self) -> String {
        let position = match self.page.rows.get(self.at) {
            Some(row) => {
                let prefix = Cursor { family: row.family, after: row.nlri.clone() };
                let inside = (self.read > 0).then_some(Inside { prefix, read: self.read.min(SKIP_MAX) });
                Some(Position { after: self.after.clone(), inside })
            }
            None => self.next.clone(),
        };
        position.map(|position| write_token(&position, self.filter.fingerprint)).unwrap_or_default()
    }

    /// Whether the list is complete with the routes given so far.
    pub fn is_complete(&self) -> bool {
        self.at >= self.page.rows.len() && self.next.is_none()
    }

    fn passes(&mut self, at: usize) -> bool {
        if self.filter.is_decided_by_engine() {
            return true;
        }
        let Some(row) = self.page.rows.get(at) else { return false };
        if !self.filter.inside.matches(row) || !self.filter.has_states(row) {
            return false;
        }
        if self.filter.text.is_empty() {
            return true;
        }
        let (text, page, scratch) = (&self.filter.text, &self.page, &mut self.scratch);
        *self.verdicts.entry(row.attrs.start).or_insert_with(|| text.matches(page.attrs(row), scratch))
    }

    /// Moves behind the row at `self.at`.
    fn step(&mut self) {
        let Some(row) = self.page.rows.get(self.at) else { return };
        let following = self.page.rows.get(self.at + 1);
        self.read += 1;
        if following.is_some_and(|next| next.nlri != row.nlri || next.family != row.family) {
            self.after = Some(Cursor { family: row.family, after: row.nlri.clone() });
            self.read = 0;
        }
        self.at += 1;
    }
}

fn is_of(row: &RouteRow, prefix: &Cursor) -> bool {
    row.family == prefix.family && row.nlri == prefix.after
}

/// Addresses of neighbours as printed, looked up once per reader and again when an unknown one turns up.
#[derive(Default)]
pub struct PeerNames(HashMap<PeerId, Arc<str>>);

impl PeerNames {
    /// The address of `peer`; empty for a route of our own or a neighbour that is gone.
    pub fn get(&mut self, backend: &dyn Backend, peer: Option<PeerId>) -> Arc<str> {
        let Some(peer) = peer else { return Arc::from("") };
        if let Some(name) = self.0.get(&peer) {
            return name.clone();
        }
        let known = backend.neighbor_addresses();
        self.0.extend(known.into_iter().map(|(peer, address)| (peer, Arc::from(address.to_string()))));
        self.0.entry(peer).or_insert_with(|| Arc::from("")).clone()
    }
}

/// Version of the token's layout, so that a later one can refuse it in words.
const TOKEN_VERSION: u8 = 1;

/// Layout, in hexadecimal: version, fingerprint (8), routes read of a prefix (4), that prefix if any were read,
/// then `after` if there is one. A prefix is AFI (2), SAFI (1), kind (1), length (2) and the octets of its key.
fn write_token(position: &Position, fingerprint: u64) -> String {
    let mut octets = vec![TOKEN_VERSION];
    octets.extend(fingerprint.to_be_bytes());
    octets.extend(position.inside.as_ref().map_or(0, |inside| inside.read).to_be_bytes());
    let prefixes = position.inside.iter().map(|inside| &inside.prefix).chain(&position.after);
    prefixes.for_each(|cursor| write_cursor(cursor, &mut octets));
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The token for going on behind `cursor` in a list that has no question to be bound to.
pub fn write_cursor_token(cursor: &Cursor) -> String {
    write_token(&Position { after: Some(cursor.clone()), inside: None }, 0)
}

/// Reads what `write_cursor_token` writes.
///
/// # Errors
/// `Invalid`: not such a token.
pub fn read_cursor_token(token: &str) -> Result<Cursor, Refusal> {
    let wrong = || Refusal::Invalid("the page token is not one of this list: start again without it".into());
    match read_token(token, 0)? {
        Position { after: Some(cursor), inside: None } => Ok(cursor),
        _ => Err(wrong()),
    }
}

fn write_cursor(cursor: &Cursor, out: &mut Vec<u8>) {
    let (kind, key) = match &cursor.after {
        Nlri::Prefix(Prefix::V4 { addr, len }) => (4, [&[*len][..], &addr.to_be_bytes()].concat()),
        Nlri::Prefix(Prefix::V6 { addr, len }) => (6, [&[*len][..], &addr.to_be_bytes()].concat()),
        Nlri::Opaque(key) => (0, key.to_vec()),
    };
    out.extend(cursor.family.afi.to_be_bytes());
    out.extend([cursor.family.safi, kind]);
    // The NLRI of an UPDATE is shorter than its message: 65,535 octets (RFC 8654 §4).
    out.extend(u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(key);
}

fn read_token(token: &str, fingerprint: u64) -> Result<Position, Refusal> {
    let wrong = || Refusal::Invalid("the page token is not one of ours: start again without it".into());
    let octets = read_hex(token).ok_or_else(wrong)?;
    let (&[version], rest) = octets.split_first_chunk().ok_or_else(wrong)?;
    let (&asked, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    let (&read, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    if version != TOKEN_VERSION {
        return Err(wrong());
    }
    if u64::from_be_bytes(asked) != fingerprint {
        return Err(Refusal::Invalid("the page token belongs to another question: use the same filter".into()));
    }
    let read = u32::from_be_bytes(read);
    let (inside, rest) = match read {
        0 => (None, rest),
        // A token is the client's to write: what it costs to go on must stay bounded.
        SKIP_MAX.. if read > SKIP_MAX => return Err(wrong()),
        _ => {
            let (prefix, rest) = read_cursor(rest).ok_or_else(wrong)?;
            (Some(Inside { prefix, read }), rest)
        }
    };
    if rest.is_empty() {
        return Ok(Position { after: None, inside });
    }
    match read_cursor(rest) {
        Some((after, [])) => Ok(Position { after: Some(after), inside }),
        _ => Err(wrong()),
    }
}

fn read_cursor(octets: &[u8]) -> Option<(Cursor, &[u8])> {
    let (&[a0, a1, safi, kind, l0, l1], rest) = octets.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
    let after = match (kind, key) {
        (4, [len, addr @ ..]) => Nlri::Prefix(Prefix::v4(u32::from_be_bytes(addr.try_into().ok()?), *len)),
        (6, [len, addr @ ..]) => Nlri::Prefix(Prefix::v6(u128::from_be_bytes(addr.try_into().ok()?), *len)),
        (0, key) => Nlri::Opaque(key.into()),
        _ => return None,
    };
    Some((Cursor { family: Family::new(u16::from_be_bytes([a0, a1]), safi), after }, rest))
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_place_and_its_question() {
        let v4 = Nlri::Prefix("192.0.2.0/24".parse().unwrap());
        let v6 = Nlri::Prefix("2001:db8::/32".parse().unwrap());
        let opaque = Nlri::Opaque([1, 2, 3].into());
        let empty = Nlri::Opaque([].into());
        let places =
            [(Family::IPV4_UNICAST, v4), (Family::IPV6_UNICAST, v6), (Family::EVPN, opaque), (Family::RTC, empty)];
        for (family, after) in places {
            let here = Cursor { family, after };
            for inside in [None, Some(Inside { prefix: here.clone(), read: 7 })] {
                for after in [None, Some(here.clone())] {
                    let position = Position { after, inside: inside.clone() };
                    let token = write_token(&position, 42);
                    assert_eq!(read_token(&token, 42).unwrap(), position);
                    assert!(read_token(&token, 43).unwrap_err().to_string().contains("another question"));
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_token_or_is_refused(text in "(010000000000000000)?[0-9a-f]{0,120}|.{0,40}") {
            if let Ok(position) = read_token(&text, 0) {
                proptest::prop_assert_eq!(read_token(&write_token(&position, 0), 0).unwrap(), position);
            }
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        let prefix = Cursor { family: Family::IPV4_UNICAST, after: Nlri::Prefix("192.0.2.0/24".parse().unwrap()) };
        let greedy = Position { after: None, inside: Some(Inside { prefix: prefix.clone(), read: u32::MAX }) };
        let good = write_token(&Position { after: Some(prefix), inside: None }, 1);
        let (cut, long) = (good[..good.len() - 2].to_owned(), format!("{good}00"));
        for token in ["x", "0", "01", "é", "ffffffffffffffffffffffffffff", &write_token(&greedy, 1), &cut, &long] {
            assert!(read_token(token, 1).is_err(), "{token}");
        }
        assert!(read_token(&good, 1).is_ok());
    }
}
