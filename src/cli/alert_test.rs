//! `ribwatch alert test`: sends an alert that is marked as a test to a sink of a configuration, and its end, and prints
//! what the receiver answered. No daemon is needed, and none is told.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    client::Failure,
    output::{Colour, Output},
};
use crate::{
    alert::Change,
    config::{Config, parse_duration},
    io::clock::Clock,
    sink::{Outcome, Parcel, SinkSettings, sample, transport::Transport},
    types::Timestamp,
};

/// Arguments of `ribwatch alert test`.
#[derive(clap::Args, Debug)]
pub(super) struct TestArgs {
    /// The name of the sink
    sink: String,
    /// The configuration that has it
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// How long the alert stands before it is over, such as 30s; to look at it in between
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    resolve_after: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "not a time such as 500ms, 30s or 5m".to_owned())
}

/// Sends the test; refused by the receiver, or nobody there: the answer is no.
pub(super) fn run(args: &TestArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(|error| Failure::Usage(error.to_string()))?;
    let Some(settings) = config.sinks.iter().find(|sink| sink.name == args.sink) else {
        let names: Vec<&str> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
        let file = args.config.display();
        let known = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        return Err(Failure::Usage(format!("no sink is called {:?} in {file}; {known}", args.sink)));
    };
    let transport = Transport::new(settings).map_err(Failure::No)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clock = Clock::start();
    let start = clock.now();
    let (opened, _) = sample::pair(start, start.0);
    send(&runtime, &transport, settings, opened, clock, out)?;
    if !args.resolve_after.is_zero() {
        out.flush()?;
        // A sleep can only be made inside the runtime.
        runtime.block_on(async { tokio::time::sleep(args.resolve_after).await });
    }
    let (_, resolved) = sample::pair(start, start.0);
    send(&runtime, &transport, settings, at(resolved, clock.now()), clock, out)
}

/// `change`, as it is at `now`.
fn at(mut change: Change, now: Timestamp) -> Change {
    let alert = Arc::make_mut(&mut change.alert);
    (alert.last_seen, alert.resolved_at) = (now, Some(now));
    Change { at: now, ..change }
}

fn send(
    runtime: &Runtime,
    transport: &Transport,
    settings: &SinkSettings,
    change: Change,
    clock: Clock,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    let event = change.why.name();
    let outcome = runtime.block_on(deliver(transport, settings, change, clock.now()));
    print(&outcome, event, settings, out)?;
    match outcome {
        Outcome::Accepted { .. } => Ok(()),
        _ => Err(Failure::No(format!("sink {}: the test alert was not accepted", settings.name))),
    }
}

async fn deliver(transport: &Transport, settings: &SinkSettings, change: Change, now: Timestamp) -> Outcome {
    let parcel = Parcel { change: Arc::new(change), before: None };
    transport.deliver(settings, &[parcel], now).await
}

fn print(outcome: &Outcome, event: &str, settings: &SinkSettings, out: &mut Output<'_>) -> Result<(), Failure> {
    let (word, colour, answer) = match outcome {
        Outcome::Accepted { answer } => ("accepted", Colour::Green, answer),
        Outcome::Later { why, .. } => ("failed", Colour::Red, why),
        Outcome::Never { why } => ("refused", Colour::Red, why),
    };
    let (sink, kind) = (&settings.name, settings.receiver.kind());
    if out.json() {
        let line = json!({"sink": sink, "type": kind, "event": event, "outcome": word, "answer": answer});
        return Ok(out.json_line(&line)?);
    }
    let word = out.paint(word, colour);
    Ok(out.line(&format!("{sink} ({kind}): {event} {word}: {answer}"))?)
}
