//! Tables that fit: columns give way in an order that is said beforehand, so that what matters most stays on 80 columns.

use unicode_width::UnicodeWidthStr as _;

use super::text::{Line, Style, harmless, shortened};
use crate::cli::{output::Colour, table::Align};

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) align: Align,
    /// Narrower than this it is of no use.
    pub(super) min: usize,
    /// It gives way before those with smaller numbers; 0: never.
    pub(super) drop: u8,
}

/// A cell of a row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: impl ToString) -> Self {
        Self::coloured(text, Colour::Plain)
    }

    pub(super) fn coloured(text: impl ToString, colour: Colour) -> Self {
        Self { text: harmless(&text.to_string()), style: colour.into() }
    }
}

/// Columns between two cells.
const GAP: usize = 1;
/// Columns in front of a row, where the selected one is marked.
const MARK: usize = 2;

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing<'a> {
    pub(super) columns: &'a [Column],
    /// Which column orders the rows, and whether from the end.
    pub(super) sorted: Option<(usize, bool)>,
    /// The row that keys act on.
    pub(super) selected: Option<usize>,
    /// The first row shown.
    pub(super) first: usize,
    /// Rows shown.
    pub(super) height: usize,
    /// Columns of the screen.
    pub(super) width: usize,
}

impl Drawing<'_> {
    /// The titles and the rows that are to be seen; widths follow from all rows, so that scrolling moves nothing.
    pub(super) fn lines(&self, rows: &[Vec<Cell>]) -> Vec<Line> {
        let titles: Vec<String> = self.columns.iter().enumerate().map(|(at, column)| self.title(at, column)).collect();
        let widths = self.widths(&titles, rows);
        let head = titles.iter().map(|title| Cell::coloured(title, Colour::Bold)).collect::<Vec<_>>();
        let mut lines = vec![self.row("  ", &head, &widths)];
        for (at, row) in rows.iter().enumerate().skip(self.first).take(self.height) {
            let selected = self.selected == Some(at);
            let line = self.row(if selected { "> " } else { "  " }, row, &widths);
            lines.push(if selected { line.reversed(self.width) } else { line });
        }
        lines
    }

    fn title(&self, at: usize, column: &Column) -> String {
        match self.sorted {
            Some((sorted, backwards)) if sorted == at => {
                format!("{}{}", column.title, if backwards { '^' } else { 'v' })
            }
            _ => column.title.to_owned(),
        }
    }

    /// A width for each column; 0: it gave way.
    fn widths(&self, titles: &[String], rows: &[Vec<Cell>]) -> Vec<usize> {
        let mut wanted: Vec<usize> = titles.iter().map(|title| title.width()).collect();
        for row in rows {
            for (width, cell) in wanted.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        loop {
            let mut widths = wanted.clone();
            if self.shrink(&mut widths, titles) {
                return widths;
            }
            let last = (0..wanted.len()).filter(|at| wanted[*at] > 0).max_by_key(|at| self.columns[*at].drop);
            match last.filter(|at| self.columns[*at].drop > 0) {
                Some(at) => wanted[at] = 0,
                None => return widths,
            }
        }
    }

    /// Takes columns from those that have most to spare; false: it still does not fit.
    fn shrink(&self, widths: &mut [usize], titles: &[String]) -> bool {
        loop {
            let taken: usize = widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum();
            let Some(over) = (MARK + taken).checked_sub(self.width + GAP + 1) else { return true };
            let spare = |at: usize| widths[at].saturating_sub(self.columns[at].min.max(titles[at].width()));
            let Some(at) = (0..widths.len()).max_by_key(|at| spare(*at)).filter(|at| spare(*at) > 0) else {
                return false;
            };
            widths[at] -= spare(at).min(over + 1);
        }
    }

    fn row(&self, mark: &str, cells: &[Cell], widths: &[usize]) -> Line {
        let mut line = Line::of(mark, Colour::Plain);
        for ((cell, width), column) in cells.iter().zip(widths).zip(self.columns) {
            if *width == 0 {
                continue;
            }
            let text = shortened(&cell.text, *width);
            let padding = " ".repeat(width - text.width());
            match column.align {
                Align::Left => {
                    line.push(text, cell.style);
                    line.push(format!("{padding} "), Colour::Plain);
                }
                Align::Right => {
                    line.push(padding, Colour::Plain);
                    line.push(text, cell.style);
                    line.push(" ", Colour::Plain);
                }
            }
        }
        while line.spans.last().is_some_and(|span| span.text.trim().is_empty()) {
            line.spans.pop();
        }
        line.cut(self.width)
    }
}

/// The first row to show of `rows`, so that the selected one is in the middle where that is possible.
pub(super) fn first_shown(selected: usize, rows: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(rows.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { title: "NAME", align: Align::Left, min: 6, drop: 0 },
        Column { title: "IN", align: Align::Right, min: 2, drop: 1 },
        Column { title: "WHY", align: Align::Left, min: 10, drop: 2 },
    ];

    fn drawn(width: usize) -> Vec<String> {
        let rows = [vec!["a-long-name", "7", "hold timer expired"], vec!["b", "12", ""]];
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(Cell::new).collect()).collect();
        let drawing =
            Drawing { columns: COLUMNS, sorted: Some((0, false)), selected: Some(1), first: 0, height: 9, width };
        drawing.lines(&rows).iter().map(Line::text).collect()
    }

    #[test]
    fn columns_shrink_and_then_give_way() {
        assert_eq!(drawn(60), ["  NAMEv       IN WHY", "  a-long-name  7 hold timer expired", "> b           12"]);
        assert_eq!(drawn(30), ["  NAMEv       IN WHY", "  a-long-name  7 hold timer e…", "> b           12"]);
        assert_eq!(drawn(14), ["  NAMEv     IN", "  a-long-n…  7", "> b         12"]);
        assert!(drawn(5).iter().all(|line| line.chars().count() <= 5));
    }

    #[test]
    fn the_selected_row_is_always_in_sight() {
        for (selected, rows, height, first) in [(0, 5, 10, 0), (50, 100, 10, 45), (99, 100, 10, 90), (3, 100, 10, 0)] {
            assert_eq!(first_shown(selected, rows, height), first);
        }
    }
}
