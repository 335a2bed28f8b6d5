//! What we do with routes: import and export rules. `accept-all` and `reject-all` are built in.
