//! Sinks: stories of one courier in virtual time, and sinks at work against receivers on this machine.

mod alerts;
mod courier;
mod delivery;
mod formats;
#[cfg(feature = "nats")]
mod nats;
pub mod receiver;
mod tls;
