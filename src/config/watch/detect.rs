//! `[detect]`: a table for each detector with `enabled` and its own keys. Ranges stand here, defaults with the detectors.

use std::{fs, ops::RangeInclusive, path::Path, time::Duration};

use super::{
    super::{
        read::{Misfit, Table, Value},
        value,
    },
    asns,
};
use crate::{
    detect::{Settings, feeds, paths, paths::leak::Scope, scenes, settings::VantagesMin},
    types::{Asn, Prefix},
    wire::bgp::community::Community,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
/// A relationship file of the whole Internet has about 20 MiB.
const RELATIONS_OCTETS_MAX: u64 = 256 << 20;
/// Broken lines of a file that are named one by one.
const LINES_NAMED_MAX: usize = 5;

/// Reads the section into `settings`. What is readable and should be known goes to `notes`.
pub(super) fn read(mut table: Table<'_>, base: &Path, settings: &mut Settings, notes: &mut Vec<String>) {
    settings.enabled = table.or("enabled", true, value::boolean);
    duration(&mut table, "settle_max", &mut settings.settle_max, SECOND..=Duration::from_secs(3600));
    if let Some(mut least) = table.table("vantages_min", "[detect.vantages_min]") {
        let VantagesMin { own, route_server, public } = &mut settings.vantages_min;
        for (key, field) in [("own", own), ("route-server", route_server), ("public", public)] {
            count(&mut least, key, field, 1..=1000);
        }
        least.finish();
    }
    read_scenes(&mut table, &mut settings.scenes);
    read_paths(&mut table, base, &mut settings.paths, notes);
    read_feeds(&mut table, &mut settings.feeds);
    table.finish();
}

fn read_scenes(detect: &mut Table<'_>, scenes: &mut scenes::Settings) {
    let scenes::Settings { origin, first_hop, covering, validity, visibility } = scenes;
    detector(detect, "origin", "[detect.origin]", &mut origin.enabled, |_| {});
    detector(detect, "first_hop", "[detect.first_hop]", &mut first_hop.enabled, |of| {
        duration(of, "hold", &mut first_hop.hold, Duration::ZERO..=DAY);
    });
    detector(detect, "covering", "[detect.covering]", &mut covering.enabled, |of| {
        length(of, "length_min_v4", &mut covering.length_min_v4, 32);
        length(of, "length_min_v6", &mut covering.length_min_v6, 128);
        duration(of, "hold", &mut covering.hold, Duration::ZERO..=DAY);
    });
    detector(detect, "validity", "[detect.validity]", &mut validity.enabled, |of| {
        duration(of, "memory", &mut validity.memory, SECOND..=YEAR);
    });
    detector(detect, "visibility", "[detect.visibility]", &mut visibility.enabled, |of| {
        percent(of, "warning_percent", &mut visibility.warning_percent);
        percent(of, "critical_percent", &mut visibility.critical_percent);
        duration(of, "learn", &mut visibility.learn, Duration::ZERO..=YEAR);
        duration(of, "forget", &mut visibility.forget, SECOND..=YEAR);
        duration(of, "hold", &mut visibility.hold, Duration::ZERO..=DAY);
        let (warning, critical) = (visibility.warning_percent, visibility.critical_percent);
        if critical > warning {
            let what = format!("`critical_percent` {critical} is above `warning_percent` {warning}");
            of.fault(
                of.span_of("critical_percent"),
                what,
                "less that is left is worse: critical must not be the higher",
            );
        }
    });
}

fn read_paths(detect: &mut Table<'_>, base: &Path, paths: &mut paths::Settings, notes: &mut Vec<String>) {
    let paths::Settings { aspa, blackhole, bogon, leak, new_neighbor, new_prefix, otc, path_rule, peerlock } = paths;
    detector(detect, "aspa", "[detect.aspa]", &mut aspa.enabled, |_| {});
    detector(detect, "blackhole", "[detect.blackhole]", &mut blackhole.enabled, |of| {
        let read = |v: &Value<'_>| value::list(v, "[\"64500:666\"]", community);
        blackhole.communities = of.or("communities", Vec::new(), read);
    });
    detector(detect, "bogon", "[detect.bogon]", &mut bogon.enabled, |of| {
        bogon.allow_asns = of.or("allow_asns", Vec::new(), any_asns);
        let read = |v: &Value<'_>| value::list::<Prefix>(v, "[\"10.0.0.0/8\"]", value::prefix);
        bogon.allow_prefixes = of.or("allow_prefixes", Vec::new(), read);
    });
    detector(detect, "leak", "[detect.leak]", &mut leak.enabled, |of| {
        let words = [("off", Scope::Off), ("watched", Scope::Watched), ("all", Scope::All)];
        leak.inferred = of.or("inferred", leak.inferred, |v| value::word(v, &words));
        if let Some(file) = of.opt("relations", value::text) {
            match read_relations(&base.join(&file)) {
                Ok(text) => {
                    let declared = leak.relations.len();
                    let bad = leak.relations.read(&text);
                    if leak.relations.len() == declared && !bad.is_empty() {
                        let help =
                            "accepted: lines such as 64496|64500|-1 (provider|customer) or 64496|64497|0 (peers)";
                        of.fault(of.span_of("relations"), format!("{file} holds no relation"), help);
                    } else {
                        notes.extend(broken_lines(&file, &bad));
                    }
                }
                Err(why) => of.fault(of.span_of("relations"), why, "accepted: a text file that this user may read"),
            }
        }
    });
    detector(detect, "new_neighbor", "[detect.new_neighbor]", &mut new_neighbor.enabled, |_| {});
    detector(detect, "new_prefix", "[detect.new_prefix]", &mut new_prefix.enabled, |_| {});
    detector(detect, "otc", "[detect.otc]", &mut otc.enabled, |_| {});
    detector(detect, "path_rule", "[detect.path_rule]", &mut path_rule.enabled, |of| {
        path_rule.length_max =
            of.or("length_max", path_rule.length_max, |v| value::integer(v, 1..=65_535).map(|length| length as u16));
        count(of, "prepends_max", &mut path_rule.prepends_max, 1..=65_535);
    });
    detector(detect, "peerlock", "[detect.peerlock]", &mut peerlock.enabled, |of| {
        peerlock.transit_free = of.or("transit_free", std::mem::take(&mut peerlock.transit_free), asns);
    });
}

fn read_feeds(detect: &mut Table<'_>, feeds: &mut feeds::Settings) {
    let feeds::Settings { session, silence, flap, prefix_count, rpki_data, roa_expiry, new_link, moas } = feeds;
    detector(detect, "session", "[detect.session]", &mut session.enabled, |of| {
        duration(of, "hold", &mut session.hold, Duration::ZERO..=DAY);
    });
    detector(detect, "silence", "[detect.silence]", &mut silence.enabled, |of| {
        duration(of, "after", &mut silence.after, Duration::from_secs(60)..=DAY);
        silence.paths_min = of.or("paths_min", silence.paths_min, |v| value::integer(v, 1..=10_000_000));
    });
    detector(detect, "flap", "[detect.flap]", &mut flap.enabled, |of| {
        for (key, field) in [("open", &mut flap.open), ("close", &mut flap.close), ("ceiling", &mut flap.ceiling)] {
            *field = of.or(key, *field, |v| value::integer(v, 1..=1_000_000).map(|score| score as u32));
        }
        duration(of, "half_life", &mut flap.half_life, SECOND..=DAY);
        count(of, "prefixes_min", &mut flap.prefixes_min, 1..=1_000_000);
        if flap.close >= flap.open {
            let what = format!("`close` {} is not below `open` {}", flap.close, flap.open);
            of.fault(of.span_of("close"), what, "a route that flaps must be able to stop: lower `close`");
        }
        if flap.ceiling < flap.open {
            let what = format!("`ceiling` {} is below `open` {}: nothing would ever flap", flap.ceiling, flap.open);
            of.fault(of.span_of("ceiling"), what, "raise `ceiling`, or set enabled = false");
        }
    });
    detector(detect, "prefix_count", "[detect.prefix_count]", &mut prefix_count.enabled, |of| {
        for (key, field, most) in [
            ("warning_percent", &mut prefix_count.warning_percent, 10_000),
            ("critical_percent", &mut prefix_count.critical_percent, 10_000),
            ("loss_percent", &mut prefix_count.loss_percent, 100),
            ("change_min", &mut prefix_count.change_min, 10_000_000),
        ] {
            *field = of.or(key, *field, |v| value::integer(v, 1..=most));
        }
        duration(of, "hold", &mut prefix_count.hold, Duration::ZERO..=DAY);
        let (warning, critical) = (prefix_count.warning_percent, prefix_count.critical_percent);
        if critical < warning {
            let what = format!("`critical_percent` {critical} is below `warning_percent` {warning}");
            of.fault(of.span_of("critical_percent"), what, "more growth is worse: critical must not be the lower");
        }
    });
    detector(detect, "rpki_data", "[detect.rpki_data]", &mut rpki_data.enabled, |of| {
        count(of, "loss_percent", &mut rpki_data.loss_percent, 1..=100);
        duration(of, "keep", &mut rpki_data.keep, SECOND..=DAY);
    });
    detector(detect, "roa_expiry", "[detect.roa_expiry]", &mut roa_expiry.enabled, |of| {
        duration(of, "before", &mut roa_expiry.before, SECOND..=DAY);
    });
    detector(detect, "new_link", "[detect.new_link]", &mut new_link.enabled, |of| {
        new_link.score_min =
            of.or("score_min", new_link.score_min, |v| value::integer(v, 0..=20).map(|score| score as i32));
        duration(of, "learn", &mut new_link.learn, SECOND..=YEAR);
    });
    detector(detect, "moas", "[detect.moas]", &mut moas.enabled, |_| {});
}

/// A detector's table: `enabled`, and what `keys` reads.
fn detector(
    detect: &mut Table<'_>,
    key: &'static str,
    heading: &'static str,
    enabled: &mut bool,
    keys: impl FnOnce(&mut Table<'_>),
) {
    if let Some(mut of) = detect.table(key, heading) {
        *enabled = of.or("enabled", *enabled, value::boolean);
        keys(&mut of);
        of.finish();
    }
}

fn duration(of: &mut Table<'_>, key: &'static str, field: &mut Duration, range: RangeInclusive<Duration>) {
    *field = of.or(key, *field, |v| value::duration(v, range));
}

fn count(of: &mut Table<'_>, key: &'static str, field: &mut usize, range: RangeInclusive<u64>) {
    *field = of.or(key, *field, |v| value::integer(v, range).map(|number| number as usize));
}

fn percent(of: &mut Table<'_>, key: &'static str, field: &mut u8) {
    *field = of.or(key, *field, |v| value::integer(v, 1..=100).map(|number| number as u8));
}

fn length(of: &mut Table<'_>, key: &'static str, field: &mut u8, most: u64) {
    *field = of.or(key, *field, |v| value::integer(v, 0..=most).map(|number| number as u8));
}

fn community(v: &Value<'_>) -> Result<Community, Misfit> {
    let accepted = "a community in quotes, such as \"64500:666\"";
    let text = value::text(v).map_err(|_| value::misfit(v, "a community", accepted))?;
    text.parse().map_err(|_| value::misfit(v, "a community", accepted))
}

/// AS numbers of any kind: what is allowed here is mostly what `value::asn` refuses.
fn any_asns(v: &Value<'_>) -> Result<Vec<Asn>, Misfit> {
    let any = |v: &Value<'_>| value::integer(v, 0..=u64::from(u32::MAX)).map(|number| Asn(number as u32));
    value::list(v, "[64512, 65535]", any)
}

fn read_relations(path: &Path) -> Result<String, String> {
    let why = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    if fs::metadata(path).map_err(why)?.len() > RELATIONS_OCTETS_MAX {
        return Err(format!("{} has more than {} MiB", path.display(), RELATIONS_OCTETS_MAX >> 20));
    }
    // A broken octet costs its line only.
    fs::read(path).map(|octets| String::from_utf8_lossy(&octets).into_owned()).map_err(why)
}

/// What is said of lines that mean nothing; nothing where there are none.
pub(super) fn broken_lines(file: &str, lines: &[usize]) -> Option<String> {
    let named: Vec<String> = lines.iter().take(LINES_NAMED_MAX).map(|line| format!("{file}:{line}")).collect();
    let more = lines.len().saturating_sub(named.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more lines") };
    (!lines.is_empty())
        .then(|| format!("{}{more}: not understood and left out; the rest of the file is used", named.join(", ")))
}
