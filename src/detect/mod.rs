//! Is something wrong: changes of routes become findings with evidence.

mod finding;
mod kind;

pub use finding::{Finding, Fingerprint, Hold, News, Report, Term};
pub use kind::{Kind, Severity};
