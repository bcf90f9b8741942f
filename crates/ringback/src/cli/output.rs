//! What the commands print: results to stdout, remarks to stderr.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use ringback_core::Timestamp;

use super::answer::Answer;
use super::client::{List, Rest};

/// Whom the output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    People,
    Json,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    OnTerminal,
    Never,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tint {
    Good,
    Bad,
    Waiting,
    Faint,
    Strong,
    None,
}

/// A text of a table.
#[derive(Debug)]
pub(super) struct Field {
    text: String,
    tint: Tint,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) fit: Fit,
}

/// What becomes of a column when the terminal is too narrow for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Stays on one line: ids are there to be copied.
    Whole,
    /// Goes on in a second line.
    Wraps,
    /// Is left out; the highest number goes first.
    Optional(u8),
}

/// Where results go.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) form: Form,
    pub(super) reader: Reader,
    coloured: bool,
}

/// Who reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Terminal,
    Program,
}

/// Whether a failure is only that nobody reads our output any more.
pub(super) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A line to stderr. One that can't be written can't be told of either.
pub(super) fn remark(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text of others, made safe for a terminal: control characters would let a receiver's answer write over the screen.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c.to_string(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

impl Output {
    pub(super) fn new(form: Form, colour: Colour) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let coloured = colour == Colour::OnTerminal && is_terminal;
        let reader = if is_terminal { Reader::Terminal } else { Reader::Program };
        Self { form, coloured, reader }
    }

    /// A line to stdout.
    ///
    /// # Errors
    /// If it can't be written, see [`reader_is_gone`].
    pub(super) fn line(&self, line: impl fmt::Display) -> anyhow::Result<()> {
        writeln!(io::stdout().lock(), "{line}")?;
        Ok(())
    }

    /// One answer as JSON.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn json(&self, answer: &Answer) -> anyhow::Result<()> {
        self.line(answer.json.get())
    }

    /// Answers as one JSON array, an element a line.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn json_array(&self, answers: &[Answer]) -> anyhow::Result<()> {
        let elements: Vec<&str> = answers.iter().map(|answer| answer.json.get()).collect();
        if elements.is_empty() {
            return self.line("[]");
        }
        self.line(format_args!("[\n{}\n]", elements.join(",\n")))
    }

    /// A list: as JSON, or as a table with a row for each.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn list(
        &self,
        list: &List,
        columns: &[Column],
        row: impl Fn(&Answer) -> Vec<Field>,
        nothing: &str,
    ) -> anyhow::Result<()> {
        if self.form == Form::Json {
            self.json_array(&list.items)?;
        } else if list.items.is_empty() {
            remark(format_args!("{nothing}"));
        } else {
            self.table(columns, list.items.iter().map(row).collect())?;
        }
        if list.rest == Rest::More {
            let shown = list.items.len();
            remark(format_args!(
                "There are more than these {shown}: see them with a higher --limit."
            ));
        }
        Ok(())
    }

    /// A table, as wide as the terminal at most.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn table(&self, columns: &[Column], rows: Vec<Vec<Field>>) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let title = |column: &Column| Cell::new(column.title).add_attribute(Attribute::Bold);
        table.set_header(columns.iter().map(title));
        table.add_rows(rows.into_iter().map(|row| row.into_iter().map(Field::cell)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let width = table.width();
        if !self.coloured {
            table.force_no_tty();
        }
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
            fit(&mut table, columns, width);
        }
        self.line(table.trim_fmt())
    }

    /// Names and values, one under the other.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(super) fn facts(&self, facts: &[(&str, Field)]) -> anyhow::Result<()> {
        let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, Field { text, tint }) in facts {
            let name = self.paint(Tint::Faint, &format!("{:width$}", plain(name)));
            self.line(format_args!("{name}  {}", self.paint(*tint, text)))?;
        }
        Ok(())
    }

    /// A text in colour, where there are colours.
    pub(super) fn paint(&self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Waiting => "33",
            Tint::Faint => "2",
            Tint::Strong => "1",
            Tint::None => return text.to_owned(),
        };
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Leaves out what the terminal has no room for.
fn fit(table: &mut Table, columns: &[Column], width: u16) {
    let widths = table.column_max_content_widths();
    let room = usize::from(width);
    let mut needed: usize = widths.iter().map(|width| usize::from(*width) + 2).sum();
    let mut optional: Vec<(u8, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(index, column)| match column.fit {
            Fit::Optional(order) => Some((order, index)),
            Fit::Whole | Fit::Wraps => None,
        })
        .collect();
    optional.sort_unstable();
    while needed > room
        && let Some((_, index)) = optional.pop()
    {
        needed -= usize::from(widths[index]) + 2;
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    for (index, column) in columns.iter().enumerate() {
        if column.fit == Fit::Whole
            && let Some(column) = table.column_mut(index)
        {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

impl Field {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self::tinted(text, Tint::None)
    }

    pub(super) fn tinted(text: impl AsRef<str>, tint: Tint) -> Self {
        Self { text: plain(text.as_ref()), tint }
    }

    /// The status of a delivery.
    pub(super) fn status(status: &str) -> Self {
        Self::tinted(status, status_tint(status))
    }

    fn cell(self) -> Cell {
        let cell = Cell::new(self.text);
        match self.tint {
            Tint::Good => cell.fg(Color::Green),
            Tint::Bad => cell.fg(Color::Red),
            Tint::Waiting => cell.fg(Color::Yellow),
            Tint::Faint => cell.add_attribute(Attribute::Dim),
            Tint::Strong => cell.add_attribute(Attribute::Bold),
            Tint::None => cell,
        }
    }
}

/// What colour the status of a delivery has.
pub(super) fn status_tint(status: &str) -> Tint {
    match status {
        "delivered" => Tint::Good,
        "exhausted" => Tint::Bad,
        "pending" => Tint::Waiting,
        "cancelled" => Tint::Faint,
        _ => Tint::None,
    }
}

/// A moment as people say it: `5m ago`, `in 2h`.
pub(super) fn relative(moment: Timestamp, now: Timestamp) -> String {
    let ahead = moment.since(now);
    if ahead.is_zero() {
        match now.since(moment) {
            past if past < Duration::from_secs(1) => "just now".to_owned(),
            past => format!("{} ago", short(past)),
        }
    } else {
        format!("in {}", short(ahead))
    }
}

/// A duration to its two largest units at most.
pub(super) fn short(duration: Duration) -> String {
    // A wait of 299.9 s is one of 5 minutes to people.
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let pair = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A bar on stderr for work of known length; nothing where stderr is no terminal.
pub(super) fn progress(len: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(len as u64).with_prefix(what);
    let template = "{prefix} {bar:32} {human_pos}/{human_len}  {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_can_not_write_over_the_screen() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{9b}c\td\n"), "a\\u{1b}[2Jb\\r\\u{9b}c\td\n");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (299, "4m 59s"),
            (3_600, "1h"),
            (5_400, "1h 30m"),
            (86_400, "1d"),
            (90_061, "1d 1h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
        assert_eq!(short(Duration::from_millis(299_900)), "5m");
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = Timestamp::from_ms(10_000_000);
        assert_eq!(relative(now, now), "just now");
        assert_eq!(relative(now + Duration::from_secs(120), now), "in 2m");
        assert_eq!(relative(now - Duration::from_secs(3), now), "3s ago");
    }

    #[test]
    fn a_pipe_nobody_reads_is_no_failure() {
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(reader_is_gone(&gone));
        assert!(!reader_is_gone(&anyhow::anyhow!("broken pipe")));
    }
}
