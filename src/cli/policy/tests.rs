//! Tests of `ribwatch policy test` over files.
