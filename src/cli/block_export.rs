//! `lat export --per-op`: writes a table of operations in the format of published latency tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lat_data::{BlockRow, Spread, block_json, block_yaml};
use lat_space::{FormRow, Piece, SearchSpace, TableForm, find_space};

use super::failure::bad;
use super::op_table::{self, OpTable};
use super::output::{say, write_whole};
use super::written::Written;

/// Writes the table in this folder, in the format of the space's published tables.
pub(super) fn run(dir: &Path, out: Option<&Path>) -> anyhow::Result<()> {
    let table = OpTable::read_any(dir)?;
    let space = find_space(&table.header.space)?;
    let form = space.table_form().ok_or_else(|| no_form(space.as_ref()))?;
    let rows = form.rows(&space.graph(&table.header.skeleton))?;
    let files = files(&table, rows)?;
    let is_folder = space.graph(&table.header.skeleton).image_sizes().len() > 1;
    let out = out.map_or_else(|| default_place(dir, form, is_folder), Path::to_owned);
    let paths = places(dir, &out, form, is_folder, files.keys())?;
    for (path, rows) in paths.iter().zip(files.values()) {
        write_whole(path, &text(form, rows, &table))?;
    }
    let n_rows: usize = files.values().map(Vec::len).sum();
    say(format!(
        "{}: {n_rows} rows in {} in {}'s form, of {} on {}, batch {}",
        out.display(),
        if paths.len() == 1 { "a file".to_owned() } else { format!("{} files", paths.len()) },
        form.name(),
        space.id(),
        table.header.device_name,
        table.header.batch
    ))
}

fn no_form(space: &dyn SearchSpace) -> anyhow::Error {
    bad(format!(
        "expected a table of operations of a space whose latency tables others publish, found one of {}, for whose blocks there is no \
         such form; `lat search --per-op` reads it as it is",
        space.id()
    ))
}

/// Groups the rows by image size, for the sizes that were measured.
fn files(table: &OpTable, rows: Vec<FormRow>) -> anyhow::Result<BTreeMap<u16, Vec<BlockRow>>> {
    let measured: BTreeMap<&str, _> =
        table.operations.iter().map(|row| (row.key.as_str(), row)).collect();
    let timed = |piece: &Piece| measured.get(piece.key().as_str()).copied();
    let is_first = |row: &&FormRow| TableForm::image_size(&row.name) == Some(row.size);
    let sizes: Vec<u16> = rows
        .iter()
        .filter(is_first)
        .filter(|row| timed(&row.piece).is_some())
        .map(|r| r.size)
        .collect();
    if sizes.is_empty() {
        return Err(missing(rows.iter().find(is_first).or(rows.first())));
    }
    let mut files: BTreeMap<u16, BTreeMap<String, BlockRow>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| sizes.contains(&row.size)) {
        let (count, mean_ms, sd_ms) = match timed(&row.piece) {
            // An operation that computes nothing takes no time and is not measured.
            None if !row.piece.computes() => (0, 0.0, 0.0),
            Some(found) => match found.sd_ms {
                Some(sd_ms) => (found.n_runs, found.latency_ms, sd_ms),
                None => return Err(missing(Some(&row))),
            },
            None => return Err(missing(Some(&row))),
        };
        let name = row.name;
        files
            .entry(row.size)
            .or_default()
            .insert(name.clone(), BlockRow { name, count, mean_ms, sd_ms });
    }
    Ok(files.into_iter().map(|(size, rows)| (size, rows.into_values().collect())).collect())
}

fn missing(row: Option<&FormRow>) -> anyhow::Error {
    let (name, key) = row.map_or_else(Default::default, |row| (row.name.clone(), row.piece.key()));
    bad(format!(
        "expected a table of operations with {key} and its deviation, of which row '{name}' is made; found none: measure it again with \
         lat profile --per-op"
    ))
}

fn default_place(dir: &Path, form: TableForm, is_folder: bool) -> PathBuf {
    let name = "latency-table";
    if is_folder { dir.join(name) } else { dir.join(format!("{name}.{}", ending(form))) }
}

fn ending(form: TableForm) -> &'static str {
    match form {
        TableForm::HwNasBench => "json",
        TableForm::Proxyless | TableForm::Ofa => "yaml",
    }
}

/// The files to write: the one named by the user, or one per image size in the named folder, with Once-for-All's file names.
fn places<'a>(
    dir: &Path,
    out: &Path,
    form: TableForm,
    is_folder: bool,
    sizes: impl Iterator<Item = &'a u16>,
) -> anyhow::Result<Vec<PathBuf>> {
    let written = Written::default().inputs([dir.join(op_table::FILE)]);
    if !is_folder {
        written.output("--out", Some(out)).check()?;
        return Ok(vec![out.to_owned()]);
    }
    if out.exists() && !out.is_dir() {
        return Err(bad(format!(
            "expected --out to name a folder, since there is a table for each size of the image; found the file {}",
            out.display()
        )));
    }
    super::runs::writable_dir(out)?;
    let file = |size: &u16| out.join(format!("{size}_lookup_table.{}", ending(form)));
    let paths: Vec<PathBuf> = sizes.map(file).collect();
    for path in &paths {
        written.clone().output("--out", Some(path)).check()?;
    }
    Ok(paths)
}

fn text(form: TableForm, rows: &[BlockRow], table: &OpTable) -> String {
    let header = &table.header;
    let comment = format!(
        "{}, batch {}, {}; {} of {}; mean is the median of the runs, in milliseconds",
        header.device_name, header.batch, header.point, header.skeleton, header.space
    );
    match form {
        TableForm::HwNasBench => block_json(rows),
        TableForm::Proxyless => block_yaml(rows, Spread::Var, &[comment]),
        TableForm::Ofa => block_yaml(rows, Spread::Std, &[comment]),
    }
}
