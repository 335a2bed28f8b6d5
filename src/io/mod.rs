//! Drivers: they carry bytes and time to the pure rooms and carry actions back. A driver is boring: read,
//! `handle`, perform the actions in order, sleep until the next deadline.
//!
//! `bgp` drives the sessions: one task per neighbour, and the listeners. `shard` drives the engine: one thread,
//! fed through a bounded queue; when it is full, sockets are not read. `clock` is the one place that reads the
//! clock, `sockopt` the one that talks to the kernel beside tokio. `mrt` reads files, `interfaces`
//! the subnets that we are on. `door` accepts readers, `privileges` is who we are to the kernel. `rpki` keeps sources of
//! validated payloads, `service` tells the service manager how we are.

pub mod bgp;
pub mod clock;
pub mod door;
pub mod interfaces;
pub mod mrt;
pub mod privileges;
pub mod rpki;
pub mod service;
pub mod shard;
pub mod sockopt;
