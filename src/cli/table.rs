//! Tables for people: columns as wide as what stands in them, numbers to the right. Rows may come in parts, so
//! that a table of a million routes is printed while it arrives; a column then only ever grows.

use std::io;

use super::output::{Colour, Output};

/// Where a cell's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    Left,
    Right,
}

/// One field of a row.
#[derive(Clone, Default, Debug)]
pub(super) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    pub(super) fn new(text: impl ToString) -> Self {
        Self { text: text.to_string(), colour: Colour::Plain }
    }

    pub(super) fn coloured(text: impl ToString, colour: Colour) -> Self {
        Self { text: text.to_string(), colour }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A row and the lines that belong under it.
struct Row {
    cells: Vec<Cell>,
    notes: Vec<String>,
}

/// A table.
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    widths: Vec<usize>,
    rows: Vec<Row>,
    headed: bool,
}

impl Table {
    /// A table with these titles.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        let widths = columns.iter().map(|(title, _)| title.chars().count()).collect();
        Self { columns: columns.to_vec(), widths, rows: Vec::new(), headed: false }
    }

    /// Adds a row; it is printed by the next `flush`.
    pub(super) fn push(&mut self, cells: Vec<Cell>) {
        self.push_with_notes(cells, Vec::new());
    }

    /// Adds a row with lines under it.
    pub(super) fn push_with_notes(&mut self, cells: Vec<Cell>, notes: Vec<String>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.text.chars().count());
        }
        self.rows.push(Row { cells, notes });
    }

    /// Prints the rows added since the last time; the titles first.
    pub(super) fn flush(&mut self, out: &mut Output<'_>) -> io::Result<()> {
        if !self.headed && !self.rows.is_empty() {
            self.headed = true;
            let titles = self.columns.iter().map(|(title, _)| Cell::coloured(*title, Colour::Bold)).collect();
            self.line(&Row { cells: titles, notes: Vec::new() }, out)?;
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(&row, out)?;
        }
        Ok(())
    }

    fn line(&self, row: &Row, out: &mut Output<'_>) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.cells.iter().zip(&self.widths).zip(&self.columns) {
            let padding = " ".repeat(width.saturating_sub(cell.text.chars().count()));
            let text = out.paint(&cell.text, cell.colour);
            match align {
                Align::Left => line.extend([text.as_str(), &padding, "  "]),
                Align::Right => line.extend([padding.as_str(), &text, "  "]),
            }
        }
        out.line(line.trim_end())?;
        for note in &row.notes {
            out.line(&format!("      {note}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell_and_only_grow() {
        let mut printed = Vec::new();
        let mut out = Output::new(&mut printed, false, false);
        let mut table = Table::new(&[("PREFIX", Align::Left), ("MED", Align::Right), ("PATH", Align::Left)]);
        table.push(vec!["192.0.2.0/24".into(), 7.into(), "64496".into()]);
        table.push_with_notes(vec!["::/0".into(), 1000.into(), "".into()], vec!["a note".into()]);
        table.flush(&mut out).unwrap();
        table.push(vec!["2001:db8::/32".into(), "".into(), "64497".into()]);
        table.flush(&mut out).unwrap();
        let expected = "\
PREFIX         MED  PATH
192.0.2.0/24     7  64496
::/0          1000
      a note
2001:db8::/32        64497
";
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
    }

    #[test]
    fn an_empty_table_prints_nothing() {
        let mut printed = Vec::new();
        Table::new(&[("X", Align::Left)]).flush(&mut Output::new(&mut printed, false, false)).unwrap();
        assert!(printed.is_empty());
    }
}
