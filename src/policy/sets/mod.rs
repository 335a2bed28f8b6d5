//! Named sets in the form that questions are answered from: sorted, merged, without allocation per question. What
//! members look like in a file stands in `values` and `community`.

pub mod as_path;
pub mod asn;
pub mod community;
pub mod neighbor;
pub mod prefix;
