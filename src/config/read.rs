//! Reads a parsed TOML table key by key. Every key that is asked for is known from then on, so what is left over
//! is an unknown key; every fault is noted with its place and reading goes on, so that one run shows them all.
//!
//! A table may inherit from others (`inheriting`): a key is looked for in the table itself first, then in those, and
//! the place of its value is where it stands. What values look like stands in `value`; which keys there are, in
//! `sections` and `neighbor`.

use std::{cell::RefCell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::source::{Problem, SECRET_KEYS, nearest};
use crate::types::Family;

/// Faults found so far; shared by all tables of one text.
pub(super) type Faults = RefCell<Vec<Problem>>;

/// A value that does not fit its key.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Octets of the text that are at fault.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) what: String,
    /// What would be accepted.
    pub(super) accepted: String,
}

/// A value in the text, with its place.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What a table inherits from.
#[derive(Clone, Default)]
pub(super) struct Inherited<'a> {
    /// Nearest first.
    pub(super) tables: Vec<&'a DeTable<'a>>,
    /// Keys that each table has for itself.
    pub(super) never: &'static [&'static str],
    /// Keys that say the same thing in different ways: who has one of them takes none of the others from elsewhere.
    pub(super) rivals: &'static [&'static [&'static str]],
    /// What it inherits from is faulty (noted), so what is missing may stand there.
    pub(super) incomplete: bool,
}

/// One table of the file while it is read.
pub(super) struct Table<'a> {
    heading: &'static str,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    /// What it inherits from, nearest first.
    inherited: Inherited<'a>,
    known: Vec<&'a str>,
    faults: &'a Faults,
}

impl<'a> Table<'a> {
    /// Starts reading `table`; `heading` is how the file writes it, such as `[router]`.
    pub(super) fn new(heading: &'static str, span: Range<usize>, table: &'a DeTable<'a>, faults: &'a Faults) -> Self {
        Self { heading, span, table, inherited: Inherited::default(), known: Vec::new(), faults }
    }

    /// The same table, with what it lacks taken from others.
    pub(super) fn inheriting(self, inherited: Inherited<'a>) -> Self {
        Self { inherited, ..self }
    }

    /// What it says itself, and its faults.
    pub(super) fn own(&self) -> &'a DeTable<'a> {
        self.table
    }

    /// The value of `key`, its own or the nearest inherited one.
    fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        if let Some(value) = self.table.get(key) {
            return Some(value);
        }
        let Inherited { tables, never, rivals, .. } = &self.inherited;
        if tables.is_empty() || never.contains(&key) {
            return None;
        }
        let rivals = rivals.iter().find(|rivals| rivals.contains(&key)).copied().unwrap_or_default();
        // Switched off is no way to say it.
        let says_it = |table: &DeTable<'_>| {
            let value = |rival: &&str| table.get(*rival).map(Spanned::get_ref);
            rivals.iter().filter_map(value).any(|value| !matches!(value, DeValue::Boolean(false)))
        };
        if says_it(self.table) {
            return None;
        }
        for table in tables {
            if let Some(value) = table.get(key) {
                return Some(value);
            }
            if says_it(table) {
                return None;
            }
        }
        None
    }

    /// Notes a fault.
    pub(super) fn fault(&self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.faults.borrow_mut().push(Problem { span, what: what.into(), help: help.into() });
    }

    /// How many faults were noted in the whole text so far.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// Octets of the heading.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the file writes `key`, here or where it is inherited from.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the table itself writes `key`.
    pub(super) fn has_own(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Octets of the value of `key`, or of the heading when the key is absent.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span(), Spanned::span)
    }

    /// Whether the file gives `key` a table as its value.
    pub(super) fn is_table(&self, key: &str) -> bool {
        matches!(self.get(key).map(Spanned::get_ref), Some(DeValue::Table(_)))
    }

    /// Makes `key` a known one without reading it.
    pub(super) fn know(&mut self, key: &'a str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.know(key);
        self.get(key)
    }

    /// The value of `key` as `parse` reads it; `None` when absent or faulty (then noted).
    pub(super) fn opt<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a Value<'a>) -> Result<T, Misfit>,
    ) -> Option<T> {
        match parse(self.value(key)?) {
            Ok(value) => Some(value),
            Err(misfit) => {
                let mut what = misfit.what;
                if SECRET_KEYS.contains(&key) {
                    // What was found instead may be the secret, written in another way.
                    what.truncate(what.find(", found").unwrap_or(what.len()));
                }
                self.fault(misfit.span, format!("`{key}`: {what}"), format!("accepted: {}", misfit.accepted));
                None
            }
        }
    }

    /// As `opt`, with a default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&'a Value<'a>) -> Result<T, Misfit>,
    ) -> T {
        self.opt(key, parse).unwrap_or(default)
    }

    /// As `opt`, and its absence is a fault; `example` shows the line to write.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&'a Value<'a>) -> Result<T, Misfit>,
    ) -> Option<T> {
        if !self.has(key) && !self.inherited.incomplete {
            self.fault(
                self.span(),
                format!("{} lacks `{key}`", self.heading),
                format!("add a line such as: {example}"),
            );
        }
        self.opt(key, parse)
    }

    /// The table under `key`.
    pub(super) fn table(&mut self, key: &'static str, heading: &'static str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(heading, value.span(), table, self.faults)),
            other => {
                let what = format!("`{key}`: expected a table, found {}", describe(other));
                self.fault(value.span(), what, format!("accepted: {heading} and its keys on the lines below it"));
                None
            }
        }
    }

    /// The tables of the array of tables under `key`.
    pub(super) fn tables(&mut self, key: &'static str, heading: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let help = || format!("accepted: {heading}, once for each, and its keys on the lines below it");
        let DeValue::Array(items) = value.get_ref() else {
            let what = format!("`{key}`: expected a list of tables, found {}", describe(value.get_ref()));
            self.fault(value.span(), what, help());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => tables.push(Table::new(heading, item.span(), table, self.faults)),
                other => {
                    self.fault(item.span(), format!("`{key}`: expected a table, found {}", describe(other)), help());
                }
            }
        }
        tables
    }

    /// The tables whose key is the name of an address family.
    pub(super) fn family_tables(&mut self, heading: &'static str) -> Vec<(Family, Table<'a>)> {
        let table: &'a DeTable<'a> = self.table;
        let mut tables = Vec::new();
        for (key, value) in table.iter() {
            let name: &'a str = key.get_ref().as_ref();
            if let (Ok(family), DeValue::Table(inner)) = (name.parse(), value.get_ref()) {
                self.know(name);
                tables.push((family, Table::new(heading, value.span(), inner, self.faults)));
            }
        }
        tables
    }

    /// Ends reading: keys that nobody asked for are faults; inherited ones are told where they stand.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let help = match nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("accepted here: {}", self.known.join(", ")),
            };
            self.fault(key.span(), format!("unknown key `{name}` in {}", self.heading), help);
        }
    }
}

/// A value in words, for "found ...".
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
