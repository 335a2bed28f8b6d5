//! ribwatch: a BGP-4 speaker and route-monitoring appliance.
//!
//! The rooms below stand in the order in which a route meets them. Imports point one way only, from later
//! rooms to earlier ones; `tests/it/tidy.rs` holds the table and checks it.

// The nouns everybody shares: ASNs, families, prefixes, time.
pub mod types;
// Bytes to messages and back; no state, no clock, no sockets.
pub mod wire;
// One remote, sans-IO: input and time go in, actions come out.
pub mod session;
// What we know: Adj-RIB-In, Loc-RIB, Adj-RIB-Out, in compact tables.
pub mod rib;
// Is it legitimate: RPKI facts and what follows from them.
pub mod validation;
// Read models: what a reader may ask and the immutable answers it gets.
pub mod view;
// Who may ask and who may change: roles, tokens, the table of needs.
pub mod access;
// What we do with it: import and export rules.
pub mod policy;
// Is something wrong: changes of routes become findings with evidence.
pub mod detect;
// The owner of a RIB: applies the rooms above in order; deterministic, no clock, no I/O.
pub mod engine;
// Who must know: findings become alerts with an id and a life.
pub mod alert;

// Above: pure. Below: the world (tokio, sockets, files, clock).

// Drivers: carry bytes and time to the pure rooms, carry actions back.
pub mod io;
// gRPC over `view` and a narrow set of commands.
pub mod api;
// Prometheus text from `view`; names and units in one table.
pub mod metrics;
// Tells people: alerts leave over HTTP, syslog, mail and files.
pub mod sink;
// Files in the state directory: what must outlive the process.
pub mod store;
// HTTP: JSON, health, readiness and metrics.
pub mod web;
// The TOML file: one struct built from the settings struct each room owns.
pub mod config;
// Wiring only: start order, channels, reload, drain and stop.
pub mod app;
// The story that `ribwatch demo` plays.
pub mod demo;
// One file per verb; talks to the gRPC API or runs offline.
pub mod cli;
