//! What an operator can turn in the decision process. Plain values; what they do stands in `compare` and `multipath`.
//!
//! There is no switch for non-deterministic MED (Cisco's default, BIRD's `deterministic med off`): there the best path
//! depends on the order in which paths arrived, so one restart gives another table, two routers with the same paths
//! disagree, and paths can oscillate for ever (RFC 3345). Whatever is set here, the result is a function of the paths.

use super::next_hops::NextHops;

/// LOCAL_PREF of a route that carries none (RFC 4271 §9.1.1 leaves it to local policy; 100 is everybody's).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// Most paths that a multipath set can have.
pub const MAXIMUM_PATHS_MAX: u16 = 64;

/// Settings of the decision process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Knobs {
    /// LOCAL_PREF of a route that carries none; default 100.
    pub default_local_pref: u32,
    /// MEDs of different neighbouring ASes compare too (RFC 4271 §9.1.2.2 c compares within one); default false.
    pub always_compare_med: bool,
    /// A route without MED counts as the highest one instead of 0 (RFC 4271 §9.1.2.2 c: the lowest); default false.
    pub missing_med_as_worst: bool,
    /// MEDs of all routes from inside our confederation compare: their neighbouring AS is ours (RFC 5065 §5.3, 1).
    /// False: only those of one neighbouring member AS, as Cisco and FRR do unless told. Default true.
    pub med_confed: bool,
    /// The length of AS_PATH decides nothing; default false.
    pub ignore_as_path_length: bool,
    /// Confederation segments count for the length of AS_PATH, which RFC 5065 §5.3 (3) advises against; default false.
    pub as_path_confed: bool,
    /// AIGP decides (RFC 7311 §4.1); default true.
    pub aigp: bool,
    /// The cost to the next hop decides nothing by itself; it still counts in AIGP. Default false.
    pub ignore_igp_metric: bool,
    /// Among EBGP paths the one received first wins before router ids are compared (RFC 5004 does so for the best one
    /// of the moment, which depends on history; the time of receipt does not). Default false.
    pub prefer_older: bool,
    /// Router ids of EBGP paths compare (RFC 4271 §9.1.2.2 f); those of others always do. Default true.
    pub compare_router_id: bool,
    /// Paths in a multipath set may have different AS_PATHs of one length; default false.
    pub multipath_relax: bool,
    /// EBGP and IBGP paths may stand in one multipath set; default false.
    pub peer_type_relax: bool,
    /// IBGP paths in a multipath set must have CLUSTER_LISTs of one length; default false.
    pub same_cluster_len: bool,
    /// How many paths a multipath set may have.
    pub maximum_paths: MaximumPaths,
    /// Costs and reachability of next hops.
    pub next_hops: NextHops,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            default_local_pref: DEFAULT_LOCAL_PREF,
            always_compare_med: false,
            missing_med_as_worst: false,
            med_confed: true,
            ignore_as_path_length: false,
            as_path_confed: false,
            aigp: true,
            ignore_igp_metric: false,
            prefer_older: false,
            compare_router_id: true,
            multipath_relax: false,
            peer_type_relax: false,
            same_cluster_len: false,
            maximum_paths: MaximumPaths::default(),
            next_hops: NextHops::default(),
        }
    }
}

/// How many paths a multipath set may have, by where the best one comes from; 1 to [`MAXIMUM_PATHS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaximumPaths {
    /// The best one comes from another AS; default 1.
    pub ebgp: u16,
    /// The best one comes from our AS or confederation; default 1.
    pub ibgp: u16,
}

impl Default for MaximumPaths {
    fn default() -> Self {
        Self { ebgp: 1, ibgp: 1 }
    }
}

impl MaximumPaths {
    /// Whether any set may have more than one path.
    pub fn is_multipath(self) -> bool {
        self.ebgp > 1 || self.ibgp > 1
    }
}
