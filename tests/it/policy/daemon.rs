//! The policies of the file judge routes from the first one on, in the daemon as a whole.

use super::policy;
use crate::router::{OPEN_POLICY, Router, pair, towards};

#[test]
fn the_policies_of_the_file_are_in_force_before_any_session() {
    let (a, open) = pair("");
    for prefix in ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"] {
        a.originate(prefix);
    }
    open.await_routes(&["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]);
    let port = a.port();
    open.stop();
    let keys = OPEN_POLICY.replace("import = [\"accept-all\"]", "import = [\"in\"]");
    let statements = [
        "match = { prefix = \"198.51.100.0/24\" }, verdict = \"reject\"",
        "set = { local_pref = 250 }, verdict = \"accept\"",
    ];
    let picky = Router::start(64497, "", &(towards(port, &keys) + "\n" + &policy("in", &statements)));
    picky.await_routes(&["192.0.2.0/24", "203.0.113.0/24"]);
    let page = picky.routes();
    assert!(page.rows.iter().all(|row| page.attrs(row).local_pref() == Some(250)));
    picky.await_paths(3);
}
