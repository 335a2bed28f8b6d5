//! `ribwatch top`: sessions, alerts and RPKI as they are now, on a terminal. `look` asks the daemon, `screen` is what is
//! shown and what keys do (without a terminal), `lists` and `detail` draw it, `grid` and `text` make lines, `terminal` shows
//! them.

mod detail;
mod grid;
mod lists;
mod look;
mod screen;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time,
};

use self::{
    look::{News, Watcher},
    screen::{Screen, Wish},
    terminal::{Input, Terminal},
};
use super::{
    Global,
    client::{Client, Failure},
    output::Output,
};
use crate::config::parse_duration;

/// Columns of a frame for a pipe.
const PIPE_COLUMNS: usize = 160;
/// Looks more often than this would show nothing new.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(super) struct TopArgs {
    /// Time between two looks at the daemon, such as 500ms or 5s
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print both lists in full and end, for a pipe; rates are those of one interval
    #[arg(long)]
    once: bool,
}

fn interval(word: &str) -> Result<Duration, String> {
    let length = parse_duration(word).filter(|length| *length >= INTERVAL_MIN);
    length.ok_or_else(|| format!("`{word}` is no time between two looks: write 500ms, 1s or 1m; at least 100ms"))
}

/// Runs the verb: `terminal` says whether what is printed goes to one.
pub(super) async fn run(
    args: TopArgs,
    global: &Global,
    terminal: bool,
    client: Client,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    if out.json() {
        return Err(Failure::Usage("top is for people; for programs there is --json of the other verbs".into()));
    }
    if !terminal && !args.once {
        return Err(Failure::Usage("top needs a terminal; --once prints one frame without".into()));
    }
    let watcher = Watcher { global: global.clone(), interval: args.interval, started: Instant::now() };
    let mut screen = Screen::new(&global.api.to_string(), args.interval, watcher.look(&client).await?);
    if args.once {
        time::sleep(args.interval).await;
        screen.hear(News::Look(Box::new(watcher.look(&client).await?)));
        return Ok(screen.page(PIPE_COLUMNS).iter().try_for_each(|line| out.line(&line.text()))?);
    }
    live(watcher, client, &mut screen, out).await
}

/// Until somebody says that it is enough.
async fn live(watcher: Watcher, client: Client, screen: &mut Screen, out: &mut Output<'_>) -> Result<(), Failure> {
    let (tell, mut news) = mpsc::channel(4);
    let (ask, deeds) = mpsc::channel(4);
    let mut ended = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut terminal = Terminal::take(out.coloured())?;
    let mut keys = terminal::read_keys();
    tokio::spawn(watcher.run(Some(client), deeds, tell));
    loop {
        let (columns, rows) = Terminal::size();
        terminal.draw(screen.lines(columns, rows), out)?;
        tokio::select! {
            Some(news) = news.recv() => screen.hear(news),
            input = keys.recv() => match input {
                Some(Input::Key(key)) => match screen.key(key) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Do(deed)) if ask.try_send(deed.clone()).is_err() => {
                        screen.hear(News::Done("not done: too much is being done".to_owned()));
                    }
                    Some(Wish::Do(_)) | None => {}
                },
                Some(Input::Resize) => terminal.forget(),
                // No keys, no way out.
                Some(Input::Interrupt) | None => return Ok(()),
            },
            _ = ended.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        }
    }
}
