//! Log lines on standard error: text for people, or one JSON object per line with the fields of the event.

use std::{fmt, sync::OnceLock};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
};

use crate::config::{Log, LogFormat};

/// The level in force, once lines are ours.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Sends log lines to standard error from now on. The first call in a process wins; later ones change nothing.
pub fn init(log: &Log) {
    let (level, handle) = reload::Layer::new(LevelFilter::from_level(log.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(level);
    // An error means that a subscriber is set already, by a test or by the demo: that one stays.
    let set = match log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(registry.with(lines.event_format(TextLine))),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_target(false);
            tracing::subscriber::set_global_default(registry.with(lines))
        }
    };
    if set.is_ok() {
        // Nobody else sets it: only one subscriber can be the global one.
        let _ = LEVEL.set(handle);
    }
}

/// Writes lines of this level and above from now on; nothing happens where `init` did not win.
pub(super) fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the subscriber is gone, which lives as long as the process.
        let _ = handle.modify(|filter| *filter = LevelFilter::from_level(level));
    }
}

/// `2026-01-02T03:04:05.678901Z WARN  message`: the message says it all, fields are for JSON.
struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let name = match level {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN ",
            Level::INFO => "INFO ",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        write!(writer, " {name} ")?;
        let mut message = Message { writer: writer.by_ref(), result: Ok(()) };
        event.record(&mut message);
        message.result?;
        writeln!(writer)
    }
}

/// Writes the field `message` and nothing else.
struct Message<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && self.result.is_ok() {
            self.result = write!(self.writer, "{value:?}");
        }
    }
}
