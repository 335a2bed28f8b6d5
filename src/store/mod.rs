//! What must outlive the process: files in `[state] dir` and nothing else. `journal` keeps records by kind and key and
//! survives being cut off at any octet; each use has a file here that turns its values into records and back, so
//! `app` alone knows which of them is loaded when.

pub mod alerts;
pub mod journal;
pub mod local_routes;

pub use journal::{Edit, Journal, Kind, Opened};
