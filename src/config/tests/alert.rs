//! `[alert]`: its defaults, its keys, and what is wrong with it at which line and column.

use std::{path::Path, time::Duration};

use super::{faults, with_router as parse};
use crate::{
    alert::{Days, KindSettings, Settings, Window},
    config::Config,
    detect::Kind,
};

fn alert(text: &str) -> Settings {
    parse(text).expect("no faults").alert
}

#[test]
fn what_is_not_written_has_its_default() {
    assert_eq!(alert(""), Settings::default());
    assert_eq!(alert("[alert]\n"), Settings::default());
}

#[test]
fn the_example_says_the_defaults_and_shows_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/alerts.toml");
    let read = Config::load(&path).unwrap_or_else(|error| panic!("{error}")).alert;
    let (kinds, maintenance) = (read.kinds.clone(), read.maintenance.clone());
    assert_eq!(Settings { kinds: Default::default(), maintenance: Vec::new(), ..read }, Settings::default());
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let flap = KindSettings { open_after: minutes(2), resolve_after: minutes(15), remind_every: Some(None) };
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [(Kind::Flap, flap)]);
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    let weekend = Window::Weekly { days: Days(0b110_0000), from: hours(22), length: hours(6) };
    let night =
        Window::Once { from: "2026-03-01T22:00:00Z".parse().unwrap(), to: "2026-03-02T06:00:00Z".parse().unwrap() };
    assert_eq!(maintenance.iter().map(|plan| plan.window).collect::<Vec<_>>(), [weekend, night]);
    assert_eq!(maintenance[0].scope.neighbors, ["edge-1"]);
    assert_eq!((maintenance[1].scope.kinds.len(), maintenance[1].scope.asns.len()), (2, 1));
}

#[test]
fn faults_are_told_where_they_stand() {
    for (text, expected) in [
        ("[alert]\nreopen = \"1h\"\n", "unknown key `reopen` in [alert]"),
        ("[alert]\nremind_every = \"5s\"\n", "`remind_every`: expected a duration"),
        ("[alert]\nkeep_changes = 0\n", "`keep_changes`"),
        ("[alert.kind.flaps]\n", "unknown key `flaps` in [alert.kind]"),
        ("[alert.kind.flap]\nopen = \"1s\"\n", "unknown key `open` in [alert.kind.NAME]"),
        ("[[alert.maintenance]]\nname = \"n\"\nfrom = \"22:00\"\nto = \"04:00\"\n", "names nothing that it is about"),
        ("[[alert.maintenance]]\nfrom = \"22:00\"\nto = \"04:00\"\nkinds = [\"flap\"]\n", "lacks `name`"),
        ("[[alert.maintenance]]\nname = \"n\"\nfrom = \"22\"\nto = \"04:00\"\nkinds = [\"flap\"]\n", "a time of day"),
        (
            "[[alert.maintenance]]\nname = \"n\"\nfrom = 2026-03-01T22:00:00Z\nto = 2026-03-01T21:00:00Z\n\
             kinds = [\"flap\"]\n",
            "`to` is not after `from`",
        ),
        (
            "[[alert.maintenance]]\nname = \"n\"\nfrom = 2026-03-01T22:00:00\nto = 2026-03-01T23:00:00Z\n\
             kinds = [\"flap\"]\n",
            "a point in time",
        ),
        (
            "[[alert.maintenance]]\nname = \"n\"\nfrom = \"22:00\"\nto = \"04:00\"\ndays = [\"saturday\"]\n\
             kinds = [\"flap\"]\n",
            "one of a few words",
        ),
    ] {
        let printed = faults(parse(text));
        assert!(printed.contains(expected) && printed.contains("f.toml:"), "{text}\n{printed}");
    }
}
