//! Opens a table: a run folder, or a file.

use std::path::Path;

use super::columns::Columns;
use super::parquet_folder;
use crate::run::folder::{HEADER_FILE, ROWS_FILE, TABLE_FILE};
use crate::run::frame;
use crate::run::manifest::{MANIFEST_FILE, Manifest};
use crate::{DataError, read_run};

const EXPECTED: &str = "a run folder, a table whose name ends in .parquet, .csv, .tsv, .csv.gz or .tsv.gz, or a folder of Parquet files";

/// The columns at this path: those in `wanted`, or all.
pub(crate) fn open(path: &Path, wanted: Option<&[&str]>) -> Result<Columns, DataError> {
    if path.is_dir() {
        return match is_run(path) || !parquet_folder::is_table(path) {
            true => open_run(path, wanted),
            false => parquet_folder::open(path, wanted),
        };
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("parquet") => {
            verify_sealed(path)?;
            Columns::of_parquet(path, wanted)
        }
        Some("csv" | "tsv") => Columns::of_csv(path),
        Some("gz") if is_packed_table(path) => Columns::of_packed_csv(path),
        _ if !path.exists() => Err(DataError::missing(path, EXPECTED)),
        _ => Err(DataError::content(path, EXPECTED, "a file of another name")),
    }
}

/// Whether a folder contains a file that only runs have.
fn is_run(dir: &Path) -> bool {
    [HEADER_FILE, ROWS_FILE, MANIFEST_FILE, TABLE_FILE].iter().any(|name| dir.join(name).exists())
}

/// Whether a compressed file's name says that it is a CSV table.
fn is_packed_table(path: &Path) -> bool {
    let inner = path.file_stem().map(Path::new).and_then(Path::extension);
    inner.is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("tsv"))
}

fn open_run(dir: &Path, wanted: Option<&[&str]>) -> Result<Columns, DataError> {
    let sealed = dir.join(TABLE_FILE);
    if let Some(manifest) = Manifest::read(dir)?.filter(|manifest| manifest.lists(TABLE_FILE)) {
        manifest.verify_rest(dir)?;
        manifest.verify(dir, TABLE_FILE)?;
        return Columns::of_parquet(&sealed, wanted);
    }
    // A table that no manifest lists cannot be trusted. The journal's rows can, because each has a checksum.
    if sealed.exists() && !dir.join(ROWS_FILE).exists() {
        let expected =
            format!("{MANIFEST_FILE} or {ROWS_FILE}, which {TABLE_FILE} can be checked by");
        let found = "neither: restore them, or name the table itself to read it unchecked";
        return Err(DataError::content(dir, expected, found));
    }
    let (header, rows) = read_run(dir)?;
    let frame = frame::from_measurements(&header, &rows)
        .map_err(|error| DataError::content(dir, "rows of measurements", error.to_string()))?;
    Ok(Columns::of_frame(dir, frame))
}

/// Checks a run's table against the manifest beside it; other tables have no manifest.
pub(crate) fn verify_sealed(path: &Path) -> Result<(), DataError> {
    if path.file_name().is_some_and(|name| name == TABLE_FILE) {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        Manifest::read(dir)?.unwrap_or_default().verify(dir, TABLE_FILE)?;
    }
    Ok(())
}
