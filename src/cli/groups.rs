//! `lat --help`: the commands in groups by purpose.

use clap::builder::StyledStr;
use clap::{Command, CommandFactory, Subcommand};

use super::{Cli, Learn, Look, Measure, Other, Searching};

/// Line width in characters if there is no terminal, and the largest width (both as in clap's own lists).
const NO_TERMINAL: usize = 100;
const MOST: usize = super::HELP_WIDTH;

/// The groups' names with their commands, which come from the enums.
fn groups() -> [(&'static str, Command); 5] {
    fn of<S: Subcommand>() -> Command {
        S::augment_subcommands(Command::new("group"))
    }
    [
        ("Measure", of::<Measure>()),
        ("Learn", of::<Learn>()),
        ("Search", of::<Searching>()),
        ("Look", of::<Look>()),
        ("Other", of::<Other>()),
    ]
}

/// The program's command line with grouped commands in its help. clap itself has headings for flags only.
pub(super) fn command() -> Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{}\n{{options-heading}}\n{{options}}{{after-help}}",
        list(command.get_styles())
    )
    .replace("{options-heading}", &heading(command.get_styles(), "Options"));
    command.help_template(StyledStr::from(template))
}

fn heading(styles: &clap::builder::Styles, text: &str) -> String {
    let style = styles.get_header();
    format!("{style}{text}:{style:#}")
}

/// The groups, each command with the first line of its help.
fn list(styles: &clap::builder::Styles) -> String {
    let mut groups = groups();
    // clap adds this command by itself.
    let help = Command::new("help").about("Print this help or that of a command");
    groups[4].1 = groups[4].1.clone().subcommand(help);
    let names = groups.iter().flat_map(|(_, of)| of.get_subcommands());
    let width = names.map(|command| command.get_name().len()).max().unwrap_or(0);
    let literal = styles.get_literal();
    let indent = width + 4;
    let line = |command: &Command| {
        let name = command.get_name();
        let about = command.get_about().map_or_else(String::new, ToString::to_string);
        let about = wrapped(&about, line_width().saturating_sub(indent), indent);
        format!("  {literal}{name}{literal:#}{:1$}  {about}\n", "", width - name.len())
    };
    let group = |(name, of): &(&str, Command)| {
        let lines: String = of.get_subcommands().map(line).collect();
        format!("\n{}\n{lines}", heading(styles, name))
    };
    groups.iter().map(group).collect()
}

/// Width of the rest of the help, which clap wraps.
fn line_width() -> usize {
    comfy_table::Table::new().width().map_or(NO_TERMINAL, usize::from).min(MOST)
}

/// Wraps words into lines of at most `letters` characters, all but the first indented by `indent` blanks.
fn wrapped(text: &str, letters: usize, indent: usize) -> String {
    let (mut all, mut line) = (String::new(), 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if line > 0 && line + 1 + length > letters {
            all.push_str(&format!("\n{:indent$}", ""));
            line = 0;
        }
        if line > 0 {
            all.push(' ');
            line += 1;
        }
        all.push_str(word);
        line += length;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_its_line_fits_a_terminal() {
        let help = command().render_help().to_string();
        let (_, list) = help.split_once("Measure:").unwrap();
        let (list, _) = list.split_once("Options:").unwrap();
        let mut all: Vec<&str> = list
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let mut known: Vec<String> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        known.push("help".to_owned());
        all.sort_unstable();
        known.sort_unstable();
        assert_eq!(all, known);
        for line in list.lines() {
            assert!(line.chars().count() <= MOST, "{line}");
        }
        for group in ["Learn", "Search", "Look", "Other"] {
            assert!(list.contains(&format!("\n{group}:\n")), "{group}");
        }
    }

    #[test]
    fn long_texts_are_broken_at_words() {
        assert_eq!(wrapped("one two  three four", 9, 3), "one two\n   three\n   four");
        assert_eq!(wrapped("incomprehensible it", 4, 1), "incomprehensible\n it");
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
