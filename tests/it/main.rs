//! One binary for all integration stories: it links once.

mod corpus;
mod vectors;
