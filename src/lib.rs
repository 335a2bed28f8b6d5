//! ribwatch: a BGP-4 speaker and route-monitoring appliance.
//!
//! The rooms below stand in the order in which a route meets them. Imports point one way only, from later
//! rooms to earlier ones; `tests/it/tidy.rs` holds the table and checks it.

/// The owner of a RIB: applies the rooms above in order; deterministic, no clock, no I/O.
pub mod engine;
/// What we do with it: import and export rules.
pub mod policy;
/// What we know: Adj-RIB-In, Loc-RIB, Adj-RIB-Out, in compact tables.
pub mod rib;
/// One remote, sans-IO: input and time go in, actions come out.
pub mod session;
/// The nouns everybody shares: ASNs, families, prefixes, time.
pub mod types;
/// Read models: the immutable answers that api, web, cli and metrics format.
pub mod view;
/// Bytes to messages and back; no state, no clock, no sockets.
pub mod wire;
// Above: pure. Below: the world (tokio, sockets, files, clock).
/// gRPC over `view` and a narrow set of commands.
pub mod api;
/// Wiring only: start order, channels, reload, drain and stop.
pub mod app;
/// One file per verb; talks to the gRPC API or runs offline.
pub mod cli;
/// The TOML file: one struct built from the settings struct each room owns.
pub mod config;
/// The story that `ribwatch demo` plays.
pub mod demo;
/// Drivers: carry bytes and time to the pure rooms, carry actions back.
pub mod io;
/// Prometheus text from `view`; names and units in one table.
pub mod metrics;
/// HTTP: JSON, health, readiness and metrics.
pub mod web;
