//! The story that `ribwatch demo` plays: one daemon and the routers around it, real BGP sessions over TCP on
//! loopback, and the very commands that an operator would type. `lab` is who takes part, `screen` how it is told.
//!
//! Every chapter states what must happen and waits for it; what does not happen in time is said, and makes the
//! story fail. Nothing here is reachable from `ribwatch run`.

mod lab;
mod screen;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    lab::{Edge, Lab},
    screen::Screen,
};
use crate::{
    detect::Kind,
    types::Asn,
    view::{NeighborView, SessionState},
};

/// IPv4 prefixes that each of the two edge routers sends.
const TABLE_V4: u32 = 12_000;
/// IPv6 prefixes that the third router sends.
const TABLE_V6: u32 = 3_000;
/// Longest wait for anything in the story. A wait ends as soon as the thing happened.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The prefix that the story follows.
const FOLLOWED: &str = "203.0.113.0/24";
/// A more-specific of it, announced by a stranger.
const STRANGER: &str = "203.0.113.128/25";

/// A prefix with a ROA: [`SIGNER`] alone may announce it.
const SIGNED: &str = "192.0.2.0/24";
/// The AS that the ROA names.
const SIGNER: Asn = Asn(64500);
/// Another AS, which announces it too.
const HIJACKER: Asn = Asn(64511);

/// A prefix of the table that the daemon is told to watch.
const WATCHED: &str = "10.0.0.0/24";
/// The AS that it belongs to.
const OWNER: Asn = Asn(64501);
/// A part of it that [`HIJACKER`] announces.
const TAKEN: &str = "10.0.0.128/25";
/// A prefix that a provider gave to customers only, and a customer passes on.
const LEAKED: &str = "198.51.100.0/24";

/// How the story is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End after the story instead of staying up.
    pub exit: bool,
    /// Colour and moving progress.
    pub color: bool,
}

/// Plays the story; the exit code is 0 when everything in it happened, else 1.
pub fn run(options: Options) -> ExitCode {
    let mut screen = Screen::new(options.color);
    let mut lab = match Lab::start((SIGNED, SIGNER), (WATCHED, OWNER)) {
        Ok(lab) => lab,
        Err(why) => {
            eprintln!("the demo cannot start: {why}");
            return ExitCode::FAILURE;
        }
    };
    tell(&mut lab, &mut screen);
    let failed = screen.failures();
    if failed == 0 {
        screen.say(&format!("\nEverything in the story happened ({:.1} s).", screen.elapsed().as_secs_f64()));
    } else {
        screen.say(&format!("\n{failed} thing(s) in the story did not happen; each is marked above."));
    }
    if !options.exit {
        stay(&lab, &screen);
    }
    lab.stop();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(lab: &mut Lab, screen: &mut Screen) {
    opening(lab, screen);
    sessions_come_up(lab, screen);
    let all = the_table_fills(lab, screen);
    questions(lab, screen);
    the_watch(lab, screen);
    an_invalid_route_is_rejected(lab, screen);
    a_session_dies_and_returns(lab, screen, all);
    a_hijack(lab, screen);
    a_leak(lab, screen);
}

fn opening(lab: &Lab, screen: &mut Screen) {
    screen.say("ribwatch demo: a BGP speaker whose RIB you can ask, on this machine only.\n");
    screen.say(&format!(
        "  this daemon   AS64512, BGP on {}, gRPC on {}, HTTP on {}",
        lab.bgp(),
        lab.api(),
        lab.http()
    ));
    for note in lab.notes() {
        screen.say(&format!("                {note}"));
    }
    for edge in Edge::ALL.iter().filter(|edge| lab.has(**edge)) {
        screen.say(&format!("  {:<13} AS{}, {}", edge.name(), edge.asn(), edge.part()));
    }
}

fn sessions_come_up(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("Sessions come up");
    let started = Instant::now();
    for edge in Edge::ALL {
        if let Err(why) = lab.connect(edge) {
            screen.outcome(false, &format!("{}: {why}", edge.name()));
        }
    }
    for edge in Edge::ALL.iter().filter(|edge| lab.has(**edge)) {
        let up = wait(|| lab.neighbor(*edge).filter(is_established));
        let told = match &up {
            Some(neighbor) => format!(
                "{} established, {} after the start: {}",
                edge.name(),
                screen::short(started.elapsed()),
                neighbor.families.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            ),
            None => format!("{} is not established: {}", edge.name(), lab.last_error(*edge)),
        };
        screen.outcome(up.is_some(), &told);
    }
}

/// Returns how many paths the tables have together.
fn the_table_fills(lab: &mut Lab, screen: &mut Screen) -> u64 {
    screen.chapter("The routers send their tables");
    let started = Instant::now();
    let mut expected = 0;
    for edge in Edge::ALL {
        match lab.announce_table(edge, TABLE_V4, TABLE_V6) {
            Ok(count) => expected += count,
            Err(why) => screen.outcome(false, &format!("{}: {why}", edge.name())),
        }
    }
    let full = wait(|| {
        let paths = lab.paths();
        screen.progress("paths", paths, expected);
        (paths == expected).then_some(())
    });
    screen.progress_end();
    screen.outcome(
        full.is_some(),
        &format!("{} of {expected} paths filed, {}", lab.paths(), screen::short(started.elapsed())),
    );
    let told = wait(|| (lab.advertised(Edge::TransitB) >= u64::from(TABLE_V4)).then_some(()));
    screen.outcome(
        told.is_some(),
        &format!("{} routes passed on to {}", lab.advertised(Edge::TransitB), Edge::TransitB.name()),
    );
    screen.command(lab, &["neighbor"]);
    screen.command(lab, &["rib", "summary"]);
    expected
}

fn questions(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("Questions: longest match, and why a route won");
    let found = screen.command(lab, &["rib", "203.0.113.7"]);
    screen.outcome(found.contains(FOLLOWED), &format!("203.0.113.7 is routed by {FOLLOWED}"));
    let why = screen.command(lab, &["explain", FOLLOWED]);
    screen.outcome(why.to_lowercase().contains("as_path"), "the longer path says that it lost on AS_PATH length");
}

fn the_watch(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("A live watch: snapshot, then each change as it happens");
    let Some(mut watch) = screen.watch(lab, &["watch", FOLLOWED, "--longer"]) else {
        screen.outcome(false, "the watch cannot be started");
        return;
    };
    let snapshot = watch.until(PATIENCE, |line| line.contains(FOLLOWED));
    screen.outcome(snapshot, &format!("the snapshot has {FOLLOWED}"));
    screen.say(&format!("  {} announces {STRANGER} with another origin, then takes it back:", Edge::TransitB.name()));
    let announced = lab.announce(Edge::TransitB, STRANGER, &[64511]).is_ok();
    let seen = announced && watch.until(PATIENCE, |line| line.contains(STRANGER) && line.contains("64511"));
    screen.outcome(seen, &format!("the watch shows {STRANGER} by AS64511"));
    let withdrawn = lab.withdraw(Edge::TransitB, STRANGER).is_ok();
    let gone = withdrawn && watch.until(PATIENCE, |line| line.contains(STRANGER));
    screen.outcome(gone, "and shows it withdrawn");
}

/// Takes back what it announced, so that the tables are as before.
fn an_invalid_route_is_rejected(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("RPKI: an announcement that no ROA allows");
    let synced = wait(|| screen.ask(lab, &["rpki", "--json"]).contains("\"state\":\"synced\"").then_some(()));
    screen.outcome(synced.is_some(), &format!("a validator's export is in force: {SIGNED} is for AS{SIGNER} alone"));
    let (honest, other) = (Edge::TransitA, Edge::TransitB);
    screen.say(&format!("  {} announces {SIGNED} by AS{SIGNER}, {} by AS{HIJACKER}:", honest.name(), other.name()));
    for (edge, origin) in [(honest, SIGNER), (other, HIJACKER)] {
        if let Err(why) = lab.announce(edge, SIGNED, &[origin.0]) {
            screen.outcome(false, &why);
        }
    }
    let both = wait(|| {
        let paths = screen.ask(lab, &["rib", SIGNED, "--table", "adj-in", "--json"]);
        (paths.lines().count() == 2).then_some(())
    });
    screen.outcome(both.is_some(), "both paths are in Adj-RIB-In");
    let why = screen.command(lab, &["explain", SIGNED]);
    screen.outcome(why.contains("rov/invalid"), "policy rejected the invalid one, and says by which statement");
    let chosen = screen.ask(lab, &["rib", SIGNED, "--json"]);
    let valid = chosen.contains("\"validation\":\"valid\"") && !chosen.contains(&HIJACKER.0.to_string());
    screen.outcome(valid, &format!("{SIGNED} is routed to AS{SIGNER}"));
    let verdict = screen.command(lab, &["rpki", "check", SIGNED, &HIJACKER.0.to_string()]);
    screen.outcome(verdict.contains("invalid"), "the check names the ROA that decided");
    let second_roa = format!("{SIGNED}-24={}", HIJACKER.0);
    let foretold = screen.command(lab, &["rpki", "what-if", "--add-vrp", &second_roa]);
    let says = foretold.contains("1 route would change") && foretold.contains("accepted by import policy");
    screen.outcome(says, "what a second ROA would do is known before anybody signs it");
    let taken_back = [honest, other].iter().all(|edge| lab.withdraw(*edge, SIGNED).is_ok());
    let gone = wait(|| screen.ask(lab, &["rib", SIGNED, "--table", "adj-in", "--json"]).is_empty().then_some(()));
    screen.outcome(taken_back && gone.is_some(), "both take it back");
}

fn a_session_dies_and_returns(lab: &mut Lab, screen: &mut Screen, all: u64) {
    screen.chapter("A session dies and comes back");
    let edge = Edge::TransitA;
    if let Err(why) = lab.shut(edge, "linecard swap until 04:00") {
        screen.outcome(false, &why);
        return;
    }
    let down = wait(|| lab.neighbor(edge).filter(|neighbor| !is_established(neighbor)));
    screen.outcome(down.is_some(), &format!("{} is down: {}", edge.name(), lab.last_error(edge)));
    let purged = wait(|| (lab.paths() + u64::from(TABLE_V4) == all).then_some(()));
    screen.outcome(purged.is_some(), &format!("its routes are gone: {} paths left of {all}", lab.paths()));
    screen.command(lab, &["neighbor", &lab.address(edge)]);
    let moved = screen.command(lab, &["rib", FOLLOWED]);
    let taken_over = moved.contains(&Edge::TransitB.asn().to_string());
    screen.outcome(taken_over, &format!("{FOLLOWED} goes through {} now", Edge::TransitB.name()));
    if let Err(why) = lab.open(edge) {
        screen.outcome(false, &why);
    }
    let started = Instant::now();
    let back = wait(|| {
        screen.progress("paths", lab.paths(), all);
        (lab.paths() == all).then_some(())
    });
    screen.progress_end();
    screen.outcome(
        back.is_some() && lab.neighbor(edge).as_ref().is_some_and(is_established),
        &format!("{} is back with all its routes, {}", edge.name(), screen::short(started.elapsed())),
    );
    screen.command(lab, &["neighbor"]);
}

/// Takes back what it announced.
fn a_hijack(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("An alert: a stranger takes part of a watched prefix");
    let edge = Edge::TransitB;
    screen.say(&format!("  the configuration says that {WATCHED} is AS{OWNER}'s"));
    let fault = || lab.announce(edge, TAKEN, &[HIJACKER.0]);
    let says = [format!("AS{HIJACKER}"), TAKEN.to_owned(), WATCHED.to_owned()];
    alert(
        lab,
        screen,
        Kind::SubprefixHijack,
        &format!("{} announces {TAKEN} by AS{HIJACKER}", edge.name()),
        fault,
        &says,
    );
    over(lab, screen, Kind::SubprefixHijack, TAKEN);
}

/// Takes back what it announced.
fn a_leak(lab: &mut Lab, screen: &mut Screen) {
    screen.chapter("An alert: a customer passes on what is only for customers (RFC 9234)");
    let (leaker, provider) = (Edge::TransitB, Edge::TransitA.asn());
    screen.say(&format!("  {} is configured as our customer, and knows nothing of roles", leaker.name()));
    let fault = || lab.leak(leaker, LEAKED, &[provider.0, SIGNER.0], provider);
    let says = [format!("AS{}", leaker.asn()), format!("OTC {provider}"), "customer".to_owned()];
    let what = format!("{} announces {LEAKED}, which AS{provider} marked as only to customers", leaker.name());
    alert(lab, screen, Kind::Otc, &what, fault, &says);
    let chosen = screen.ask(lab, &["rib", LEAKED, "--json"]);
    screen.outcome(chosen.is_empty(), "and the leaked route is not used");
    over(lab, screen, Kind::Otc, LEAKED);
}

/// Something wrong is done, and the daemon must say so: one alert, with its why.
fn alert(
    lab: &Lab,
    screen: &mut Screen,
    kind: Kind,
    what: &str,
    fault: impl FnOnce() -> Result<(), String>,
    says: &[String],
) {
    screen.say(&format!("  {what}:"));
    let started = Instant::now();
    if let Err(why) = fault() {
        return screen.outcome(false, &why);
    }
    let live = ["alert", "--json", "--kind", kind.name(), "--text", &says[0]];
    let opened = wait(|| screen.ask(lab, &live).lines().next().map(str::to_owned).filter(|line| is(line, "open")));
    let Some(id) = opened.as_deref().and_then(|line| field(line, "id")) else {
        return screen.outcome(false, &format!("no alert of kind {kind} came"));
    };
    screen.outcome(true, &format!("an alert of kind {kind} is open, {} later", screen::short(started.elapsed())));
    let shown = screen.command(lab, &["alert", "show", &id]);
    let why = opened.as_deref().and_then(|line| field(line, "why")).unwrap_or_default();
    let told = says.iter().all(|word| why.contains(word)) && shown.contains(&id);
    screen.outcome(told, &format!("it says why, and names {}", says.join(", ")));
}

/// What was wrong ends, and the alert must end with it.
fn over(lab: &Lab, screen: &mut Screen, kind: Kind, prefix: &str) {
    screen.say(&format!("  {} takes {prefix} back:", Edge::TransitB.name()));
    if let Err(why) = lab.withdraw(Edge::TransitB, prefix) {
        return screen.outcome(false, &why);
    }
    let all = ["alert", "--json", "--kind", kind.name()];
    let resolved = wait(|| {
        let alerts = screen.ask(lab, &all);
        (!alerts.is_empty() && alerts.lines().all(|line| is(line, "resolved"))).then_some(())
    });
    screen.command(lab, &["alert", "--kind", kind.name()]);
    screen.outcome(resolved.is_some(), "the alert is resolved");
}

/// Whether an alert is in this state.
fn is(alert: &str, state: &str) -> bool {
    field(alert, "state").is_some_and(|known| known == state)
}

/// The text of a field of an alert that was printed as JSON.
fn field(alert: &str, name: &str) -> Option<String> {
    let alert: serde_json::Value = serde_json::from_str(alert).ok()?;
    alert.get(name)?.as_str().map(str::to_owned)
}

fn stay(lab: &Lab, screen: &Screen) {
    let api = lab.api_option();
    screen.say("\nThe daemon and its routers stay up. Try, in another terminal:\n");
    for line in [
        "ribwatch neighbor",
        "ribwatch rib --origin 64500 --table adj-in",
        "ribwatch explain 203.0.113.0/24",
        "ribwatch watch",
    ] {
        screen.say(&format!("  {line}{api}"));
    }
    screen.say(&format!("  curl http://{}/metrics", lab.http()));
    screen.say(&format!("\nThe page is at http://{}/", lab.http()));
    screen.say("\nCtrl-C ends it.");
    lab.wait_for_interrupt();
}

fn is_established(neighbor: &NeighborView) -> bool {
    neighbor.state == SessionState::Established
}

/// Looks again and again until there is an answer, or patience ends.
fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
