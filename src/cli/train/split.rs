//! Chooses the rows of a table to train and to test on.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use lat_data::split_sizes;
use lat_space::{Architecture, Space};

use super::args::Args;
use crate::cli::failure::bad;
use crate::cli::{texts, transfer};

/// The rows to train on, and those to test on.
pub(super) fn split(
    args: &Args,
    space: &dyn Space,
    architectures: &[Architecture],
) -> anyhow::Result<(Vec<usize>, Vec<usize>)> {
    let n = architectures.len();
    let (mut train, test) = if let Some(path) = &args.test_rows {
        let chosen = read_test_rows(path, space)?;
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&r| chosen.contains(&architectures[r]));
        if test.is_empty() {
            return Err(bad(format!(
                "expected architectures of the table in {}, found none of them",
                path.display()
            )));
        }
        let (order, _) = split_sizes(train.len(), train.len(), 0, args.seed)?;
        (order.into_iter().map(|i| train[i]).collect(), test)
    } else {
        let is_few = !args.from.is_empty() && n <= transfer::FEW;
        let test = args.test.unwrap_or(if is_few { 0 } else { n / 5 });
        split_sizes(n, args.train.unwrap_or(n.saturating_sub(test)), test, args.seed)?
    };
    if let Some(wanted) = args.train {
        if wanted > train.len() {
            return Err(bad(format!(
                "expected at most {} rows to train on, found --train {wanted}",
                train.len()
            )));
        }
        train.truncate(wanted);
    }
    Ok((train, test))
}

fn read_test_rows(path: &Path, space: &dyn Space) -> anyhow::Result<HashSet<Architecture>> {
    let text = texts::read(path).with_context(|| {
        format!("expected a file of architectures, one per line, at {}", path.display())
    })?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let parse = |(i, line): (usize, &str)| {
        space.parse(line).with_context(|| format!("{}, line {}", path.display(), i + 1))
    };
    lines.map(parse).collect()
}
