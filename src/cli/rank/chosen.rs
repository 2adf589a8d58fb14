//! Chooses the architectures that `lat rank` compares.

use std::collections::HashSet;
use std::path::Path;

use lat::search::OpenedSupernet;
use lat_data::{AccuracyTable, read_architectures};
use lat_space::{Architecture, architecture_at};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Args;
use super::truth::Truth;
use crate::cli::failure::bad;
use crate::cli::texts;

/// Give up drawing after this many draws: a search that has dropped most operations leaves few architectures in the supernet.
const MOST_DRAWS: u64 = 100_000;

/// The architectures in the file; if none is given, the requested number of those with a known true accuracy. Each occurs once, and
/// the supernet must contain it.
pub(super) fn architectures(
    args: &Args,
    opened: &OpenedSupernet,
    truth: &Truth,
) -> anyhow::Result<Vec<Architecture>> {
    match (&args.archs, truth) {
        (Some(file), _) => listed(file, opened, truth),
        (None, Truth::Table { table, .. }) => drawn_from(table, args, opened),
        (None, Truth::Trained { .. }) => drawn(args, opened),
    }
}

/// The architectures of a file; duplicates are dropped.
fn listed(
    file: &Path,
    opened: &OpenedSupernet,
    truth: &Truth,
) -> anyhow::Result<Vec<Architecture>> {
    let space = opened.space.as_ref();
    let is_table = file.extension().is_some_and(|e| e == "csv" || e == "parquet");
    let mut found = Vec::new();
    if is_table {
        for text in read_architectures(file, space)? {
            found.push(space.parse(&text?)?);
        }
    } else {
        for (i, line) in texts::read(file)?.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() {
                let read = space.parse(line);
                found.push(
                    read.map_err(|e| bad(format!("{}, line {}: {e}", file.display(), i + 1)))?,
                );
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|architecture| seen.insert(space.format(architecture)));
    for architecture in &found {
        opened.check(architecture)?;
    }
    truth.check(file, space, &found)?;
    Ok(found)
}

/// Rows of a table, drawn without replacement.
fn drawn_from(
    table: &AccuracyTable,
    args: &Args,
    opened: &OpenedSupernet,
) -> anyhow::Result<Vec<Architecture>> {
    let mut rows: Vec<usize> = (0..table.len()).collect();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(args.seed));
    let mut found = Vec::new();
    for row in rows {
        if found.len() == args.n as usize {
            break;
        }
        let architecture = opened.space.parse(table.row(row).0)?;
        found.extend(opened.check(&architecture).is_ok().then_some(architecture));
    }
    Ok(found)
}

/// Architectures drawn from the space, each once.
fn drawn(args: &Args, opened: &OpenedSupernet) -> anyhow::Result<Vec<Architecture>> {
    let space = opened.space.as_ref();
    let most = u64::try_from(space.size()).unwrap_or(u64::MAX).min(MOST_DRAWS);
    let mut found = Vec::new();
    for i in 0..most {
        if found.len() == args.n as usize {
            break;
        }
        let architecture = architecture_at(space, args.seed, i)?;
        found.extend(opened.check(&architecture).is_ok().then_some(architecture));
    }
    Ok(found)
}
