//! What we do with routes: import and export rules. A neighbour has a chain of policies per direction; the first
//! statement that has a verdict decides, and the verdict can say who that was.
//!
//! # What holds
//! - Policies of a chain are taken in order, inside a policy its statements. A statement matches when all its conditions
//!   hold; then its actions are done, and its verdict, if it has one, decides. Without a verdict the next statement is
//!   asked, about the route as it stands then. `next-policy` leaves the policy.
//! - At the end of a chain RFC 8212 §3 speaks: EBGP rejects, and so does an EBGP session without any policy. IBGP accepts.
//! - `accept-all` and `reject-all` are built in. A name that nobody defined rejects.
//!
//! # Where
//! `definitions` is what an operator wrote, `library` compiles it, `lint` finds what makes no sense; `chain` lays out the
//! policies of a neighbour; `eval` is the fast road, with `path_verdicts` that spare it automata, `trace` the slow one that tells why. `conditions` and `actions` have
//! one variant per match and action, `case` is a test that an operator wrote, `sets` the named sets, `values` and `community` their members as text.

mod actions;
pub mod case;
mod chain;
pub mod changes;
pub mod community;
mod conditions;
pub mod context;
pub mod definitions;
mod eval;
mod library;
mod lint;
pub mod path_text;
mod path_verdicts;
pub mod sets;
mod trace;
pub mod values;

pub use chain::PolicyChain;
pub use changes::{Change, changes};
pub use context::{AspaState, Context, Direction, NeighborFacts, PerPrefix, Route, Validation};
pub use definitions::{Definitions, Problem};
pub use eval::{Evaluator, NextHopVerdict, Verdict};
pub use library::Library;
pub use path_verdicts::PathCounts;
pub use trace::{Decider, Matched, Trace, is_built_in};

/// Name of the built-in policy that accepts every route.
pub const ACCEPT_ALL: &str = "accept-all";
/// Name of the built-in policy that rejects every route.
pub const REJECT_ALL: &str = "reject-all";
/// What a route is rejected by where an EBGP session has no policy.
pub const NO_POLICY: &str = "no policy (RFC 8212)";

#[cfg(test)]
mod tests;
