//! When VRPs cease to be valid unless they are renewed, where a source says so: `expires` of rpki-client's JSON, the earliest
//! end of anything between the trust anchor and the ROA, in seconds since the Unix epoch. RTR has no such field
//! (RFC 8210 §5.6), and what a cache does not say is not known.

use super::Vrp;

/// VRPs with the time until which they hold, in order of the VRPs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expiries(Vec<(Vrp, u64)>);

impl Expiries {
    /// In any order; of several times for one VRP the latest counts, for any ROA that holds is enough.
    pub fn new(mut expiries: Vec<(Vrp, u64)>) -> Self {
        expiries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        expiries.dedup_by_key(|(vrp, _)| *vrp);
        Self(expiries)
    }

    /// Until when a VRP holds, in seconds since the Unix epoch; `None`: nobody says.
    pub fn get(&self, vrp: &Vrp) -> Option<u64> {
        let at = self.0.binary_search_by(|(other, _)| other.cmp(vrp)).ok()?;
        self.0.get(at).map(|(_, until)| *until)
    }

    /// All, in order of the VRPs.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Vrp, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nobody says anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
