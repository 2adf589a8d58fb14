//! Printing: results, progress, tables, JSON files.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use lat_data::WholeFile;
use serde::Serialize;

/// How often work of unknown length updates its line.
const TICK: Duration = Duration::from_millis(250);

/// Settings of standard error: how much may be printed there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// No progress at all.
    pub(super) quiet: bool,
}

impl Screen {
    /// A progress bar with rate and time left; hidden if standard error is not a terminal.
    pub(super) fn bar(self, unit: &str) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        bar_of(style_of_steps(unit))
    }

    /// A progress bar of reading a file, counted in bytes.
    pub(super) fn bytes(self, file: &Path) -> ProgressBar {
        let bar = self.bar("");
        bar.set_style(style("{bar:30} {bytes}/{total_bytes}, {eta} left"));
        bar.set_length(file.metadata().map_or(0, |of| of.len()));
        bar
    }

    /// Progress of work whose end is not known: the count, rate and time so far.
    pub(super) fn count(self, unit: &str) -> ProgressBar {
        self.running(style(&format!(
            "{{spinner}} {{pos}} {unit}, {{per_sec}}, {{elapsed}} {{msg}}"
        )))
    }

    /// Progress of work without a count: what is being done, and the time so far.
    pub(super) fn working(self, what: &str) -> ProgressBar {
        self.running(style_of_work(what))
    }

    fn running(self, style: ProgressStyle) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = bar_of(style);
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Warns on standard error that something is damaged or lost. Not progress, so it is printed even with --quiet.
    #[expect(clippy::print_stderr, reason = "damage is always told")]
    #[expect(clippy::unused_self, reason = "beside `note`, which it is the louder form of")]
    pub(super) fn warn(self, bar: Option<&ProgressBar>, line: &str) {
        let line = plain(line);
        match bar {
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => eprintln!("{line}"),
        }
    }

    /// Prints a line on standard error, above the bar if there is one.
    #[expect(clippy::print_stderr, reason = "progress is for standard error")]
    pub(super) fn note(self, bar: Option<&ProgressBar>, line: &str) {
        let line = plain(line);
        match bar {
            _ if self.quiet => {}
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => eprintln!("{line}"),
        }
    }
}

/// Bar style for a known number of steps, with rate and time left.
pub(super) fn style_of_steps(unit: &str) -> ProgressStyle {
    style(&format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left {{msg}}"))
}

/// Line style for work without a count: what is being done, and the time so far.
pub(super) fn style_of_work(what: &str) -> ProgressStyle {
    style(&format!("{{spinner}} {what} {{msg}} {{elapsed}}"))
}

/// A bar that disappears together with the work it belongs to, whether that is done or has failed.
fn bar_of(style: ProgressStyle) -> ProgressBar {
    ProgressBar::no_length().with_style(style).with_finish(ProgressFinish::AndClear)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are fixed")
}

/// Sets the bar to `done` of `all`. If work was resumed, steps from before do not count for the rate.
pub(super) fn step_to(bar: &ProgressBar, done: u64, all: u64) {
    if bar.length() != Some(all) {
        bar.set_position(done);
        bar.set_length(all);
        bar.reset_eta();
    }
    bar.set_position(done);
}

/// Removes characters that control a terminal. Names and units may come from files written by others.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    match text.contains(steers) {
        true => text.replace(steers, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// Prints a line of the result on standard output.
pub(super) fn say(line: impl AsRef<str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(plain(line.as_ref()).as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Formats a cost or an error with four decimals, or with more if it is so small that fewer than four digits would show.
pub(super) fn figure(value: f64) -> String {
    format!("{value:.0$}", decimals(value))
}

/// Formats like [`figure`] but rounds up, so that the value is within the printed limit.
pub(super) fn figure_above(value: f64) -> String {
    let decimals = decimals(value);
    let step = 10f64.powi(decimals as i32);
    format!("{:.decimals$}", (value * step).ceil() / step)
}

/// Formats a measurement like [`figure`], but without the digits that its uncertainty leaves open: of the uncertainty two digits
/// are kept.
pub(super) fn figure_within(value: f64, uncertainty: f64) -> String {
    let size = uncertainty.abs();
    let told = if size > 0.0 && size.is_finite() { 1.0 - size.log10().floor() } else { 30.0 };
    format!("{value:.0$}", decimals(value).min(told.max(0.0) as usize))
}

fn decimals(value: f64) -> usize {
    let size = value.abs();
    let decimals = if size > 0.0 && size < 0.1 { 3.0 - size.log10().floor() } else { 4.0 };
    decimals.min(30.0) as usize
}

/// A table for people to read.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

/// A table whose cells are never wrapped, however narrow the terminal, so that architectures can be copied.
pub(super) fn lines(header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.add_rows(rows);
    table.trim_fmt()
}

/// Writes a value as JSON, whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_whole(path, &(serde_json::to_string_pretty(value)? + "\n"))
}

/// Writes a text file whole or not at all.
pub(super) fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    Ok(WholeFile::write(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::{figure, figure_above, figure_within, plain};

    #[test]
    fn small_costs_keep_four_digits() {
        for (value, text) in [
            (12.34567, "12.3457"),
            (0.1, "0.1000"),
            (0.011_898_1, "0.01190"),
            (3.1234e-7, "0.0000003123"),
            (-0.05, "-0.05000"),
            (0.0, "0.0000"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure_above(0.011_898_1), "0.01190");
        assert_eq!(figure_above(0.011_901), "0.01191");
        assert_eq!(figure_above(2.000_01), "2.0001");
    }

    #[test]
    fn digits_that_are_noise_are_left_out() {
        assert_eq!(figure_within(2.34567, 0.0123), "2.346");
        assert_eq!(figure_within(0.000_734_56, 0.000_12), "0.00073");
        assert_eq!(figure_within(2.34567, 1e-9), "2.3457");
        assert_eq!(figure_within(2.34567, 0.0), "2.3457");
        assert_eq!(figure_within(234.567, 17.0), "235");
        assert_eq!(figure_within(f64::NAN, f64::NAN), "NaN");
    }

    #[test]
    fn nothing_that_is_printed_steers_a_terminal() {
        assert_eq!(plain("ms\u{1b}[2J\u{9b}1A\rx"), "ms\u{fffd}[2J\u{fffd}1A\u{fffd}x");
        assert_eq!(plain("a\tb\nü 日本"), "a\tb\nü 日本");
    }
}
