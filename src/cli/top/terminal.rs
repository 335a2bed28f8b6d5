//! The terminal: taken on entry and given back whatever happens, drawn line by line where something changed, read key by key.

use std::{
    io::{self, Write as _},
    sync::Once,
    thread,
};

use crossterm::{
    cursor, event, execute, queue,
    terminal::{self, ClearType},
};
use tokio::sync::mpsc;

use super::{
    screen::Key,
    text::{Line, Span},
};
use crate::cli::output::{Colour, Output};

/// What comes from the terminal.
pub(super) enum Input {
    Key(Key),
    /// Ctrl-C.
    Interrupt,
    /// The terminal has another size.
    Resize,
}

/// A terminal that is ours as long as this lives.
pub(super) struct Terminal {
    colour: bool,
    shown: Vec<Line>,
}

impl Terminal {
    /// Takes the terminal: raw keys, a screen of its own, no cursor.
    ///
    /// # Errors
    /// Standard output or input is none.
    pub(super) fn take(colour: bool) -> io::Result<Self> {
        restore_on_panic();
        terminal::enable_raw_mode()?;
        let taken = Self { colour, shown: Vec::new() };
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }

    /// Columns and rows.
    pub(super) fn size() -> (usize, usize) {
        terminal::size().map_or((80, 24), |(columns, rows)| (columns.into(), rows.into()))
    }

    /// Forgets what is shown, so that all of it is drawn again.
    pub(super) fn forget(&mut self) {
        self.shown.clear();
    }

    /// Shows `lines`; what stands there already is not written again.
    pub(super) fn draw(&mut self, lines: Vec<Line>, out: &mut Output<'_>) -> io::Result<()> {
        let mut octets = Vec::new();
        if self.shown.len() != lines.len() {
            self.shown.clear();
            queue!(octets, terminal::Clear(ClearType::All))?;
        }
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) == Some(line) {
                continue;
            }
            queue!(octets, cursor::MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
            line.spans.iter().try_for_each(|span| paint(span, self.colour, &mut octets))?;
            queue!(octets, terminal::Clear(ClearType::UntilNewLine))?;
        }
        self.shown = lines;
        out.octets(&octets)?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal that cannot be given back is gone.
fn give_back() {
    let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

/// The words of a panic would vanish with the screen, and the shell behind it be left with raw keys.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

fn paint(span: &Span, colour: bool, octets: &mut Vec<u8>) -> io::Result<()> {
    let plain = span.style.colour == Colour::Plain && !span.style.reverse;
    if plain || !colour {
        return octets.write_all(span.text.as_bytes());
    }
    let reverse = if span.style.reverse { ";7" } else { "" };
    write!(octets, "\x1b[{}{reverse}m{}\x1b[0m", span.style.colour.code(), span.text)
}

/// Reads keys on a thread of its own, which ends with the process: a read from a terminal cannot be called off.
pub(super) fn read_keys() -> mpsc::Receiver<Input> {
    let (tell, heard) = mpsc::channel(64);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let Some(input) = input(&event) else { continue };
            if tell.blocking_send(input).is_err() {
                return;
            }
        }
    });
    heard
}

fn input(event: &event::Event) -> Option<Input> {
    use event::{Event, KeyCode, KeyEventKind, KeyModifiers};
    let key = match event {
        Event::Resize(..) => return Some(Input::Resize),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(Input::Key(match key.code {
        KeyCode::Char('c') if control => return Some(Input::Interrupt),
        KeyCode::Char('l') if control => return Some(Input::Resize),
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    }))
}
