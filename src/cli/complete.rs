//! Shell completions and the man page.

use super::{groups, output};

/// Print completions for a shell.
///
/// Example: lat completions bash > ~/.local/share/bash-completion/completions/lat
#[derive(clap::Args)]
pub(super) struct CompletionArgs {
    /// Shell to print completions for.
    shell: clap_complete::Shell,
}

/// Print the man page.
///
/// Example: lat man > lat.1
#[derive(clap::Args)]
pub(super) struct ManArgs {}

pub(super) fn completions(args: &CompletionArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut groups::command(), "lat", &mut text);
    output::say(String::from_utf8(text)?)
}

pub(super) fn man(_: &ManArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(groups::command()).render(&mut text)?;
    output::say(String::from_utf8(text)?)
}
