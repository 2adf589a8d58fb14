use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::columns::Columns;
use crate::frame::{self, HEADER_COLUMNS};
use crate::journal::{ROWS_FILE, TABLE_FILE, check_version, read_run};
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::merge::SCALE_COLUMN;
use crate::{DataError, Role, RunHeader, Status};

/// Names under which tables keep the architecture's text, the first that a table has being used.
const ARCHITECTURE: [&str; 3] = ["architecture", "arch_str", "arch"];
/// Columns that must hold one value, where a table has them: what else would be compared is no function of the architecture.
const CONSTANT: [&str; 11] = [
    "space",
    "device",
    "device_name",
    "batch",
    "unit",
    "skeleton",
    "precision",
    "mode",
    "channels_last",
    "cold",
    "threads",
];
/// Header columns that tables of format version 1 lack.
const NEW_IN_2: [&str; 4] = ["mode", "channels_last", "cold", "shard"];
/// Units that a column's name can end in.
const UNITS: [&str; 10] = ["ms", "us", "ns", "s", "mj", "j", "w", "mib", "mhz", "c"];

/// One architecture's value.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// The architecture in its space's text form, as the file has it.
    pub architecture: String,
    /// Its value, positive and finite, in the unit that the column's name says.
    pub value: f64,
}

/// One value per architecture, of one device at one batch size: what a predictor learns from.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyTable {
    /// Id of the search space.
    pub space: String,
    /// The column that the values are from: `latency_ms`.
    pub column: String,
    /// One row per distinct architecture: its first measurement.
    pub rows: Vec<TableRow>,
    /// For each further measurement of an architecture the pair (its row's value, the further value): their spread is the
    /// noise that no predictor can be better than.
    pub repeats: Vec<(f64, f64)>,
    /// The same for the anchors of a profile run: their further measurements are spread over the whole run, so that these
    /// differ by its drift too.
    pub anchors: Vec<(f64, f64)>,
    /// What was measured and where, in tables that a profile run wrote.
    pub header: Option<RunHeader>,
    /// The file read.
    pub source: PathBuf,
    /// Rows left out since their measurement failed.
    pub skipped: usize,
}

impl LatencyTable {
    /// Reads a run folder (its sealed table, else its journal), a `.parquet` or a `.csv` file. A run's sealed table is first
    /// compared with the checksum that the folder's manifest has for it.
    ///
    /// A file made elsewhere needs a text column `architecture`, `arch_str` or `arch` and a column of positive numbers
    /// named `column`. Columns `space`, `device`, `device_name`, `batch`, `unit`, `skeleton`, `precision` and `threads` are
    /// optional and must hold one value each; in a column `status` the value `failed` leaves a row out.
    ///
    /// # Errors
    /// [`DataError::Missing`] where nothing is there, [`DataError::Content`] where it is no such table or of another space
    /// or unit, [`DataError::Mixed`] for tables of several devices or the like, [`DataError::Values`] for values that are
    /// missing, not finite or not above zero, [`DataError::Altered`] for a run's table that is not what was sealed.
    pub fn load(path: &Path, space: Option<&str>, column: &str) -> Result<Self, DataError> {
        let wanted: Vec<&str> = [
            &ARCHITECTURE[..],
            &CONSTANT,
            &HEADER_COLUMNS,
            &["status", "superseded", "role", column],
        ]
        .concat();
        let (source, columns) = if path.is_dir() {
            open_run(path, &wanted)?
        } else {
            let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
            let columns = match extension.to_str() {
                Some("parquet") => {
                    verify_sealed(path)?;
                    Columns::of_parquet(path, &wanted)?
                }
                Some("csv") => Columns::of_csv(path)?,
                _ if !path.exists() => return Err(DataError::missing(path, EXPECTED)),
                _ => return Err(DataError::content(path, EXPECTED, "a file of another name")),
            };
            (path.to_owned(), columns)
        };
        Reader { path: &source, columns: &columns, column }.table(space)
    }
}

const EXPECTED: &str = "a run folder, or a table whose name ends in .parquet or .csv";

fn open_run(dir: &Path, wanted: &[&str]) -> Result<(PathBuf, Columns), DataError> {
    let sealed = dir.join(TABLE_FILE);
    if Manifest::read(dir)?.is_some_and(|manifest| manifest.lists(TABLE_FILE)) {
        verify_sealed(&sealed)?;
        let columns = Columns::of_parquet(&sealed, wanted)?;
        return Ok((sealed, columns));
    }
    // A table that no manifest lists may be anything; each of the journal's rows proves itself.
    if sealed.exists() && !dir.join(ROWS_FILE).exists() {
        let expected =
            format!("{MANIFEST_FILE} or {ROWS_FILE}, which {TABLE_FILE} can be checked by");
        let found = "neither: restore them, or name the table itself to read it unchecked";
        return Err(DataError::content(dir, expected, found));
    }
    let (header, rows) = read_run(dir)?;
    let frame = frame::from_measurements(&header, &rows)
        .map_err(|error| DataError::content(dir, "rows of measurements", error.to_string()))?;
    Ok((dir.to_owned(), Columns::of_frame(dir, frame)))
}

/// A run's table must be what the manifest beside it says; other tables have none.
fn verify_sealed(path: &Path) -> Result<(), DataError> {
    if path.file_name().is_some_and(|name| name == TABLE_FILE) {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        Manifest::read(dir)?.unwrap_or_default().verify(dir, TABLE_FILE)?;
    }
    Ok(())
}

/// The rows and the repeats of a table.
struct Grouped {
    rows: Vec<TableRow>,
    repeats: Vec<(f64, f64)>,
    anchors: Vec<(f64, f64)>,
}

/// The steps from a file's columns to a table.
struct Reader<'a> {
    path: &'a Path,
    columns: &'a Columns,
    column: &'a str,
}

impl Reader<'_> {
    fn table(&self, space: Option<&str>) -> Result<LatencyTable, DataError> {
        let architecture = self.check_columns()?;
        let kept = self.kept_rows()?;
        self.check_constants()?;
        self.check_unit()?;
        let space = self.space(space)?;
        let architectures = self.columns.texts(architecture)?;
        let values = self.columns.numbers(self.column)?;
        let kept = self.measured(kept, &values)?;
        self.check_values(&kept, &values)?;
        let Grouped { rows, repeats, anchors } = self.group(&kept, architectures, &values)?;
        Ok(LatencyTable {
            space,
            column: self.column.to_owned(),
            rows,
            repeats,
            anchors,
            header: self.header()?,
            source: self.path.to_owned(),
            skipped: self.columns.height() - kept.len(),
        })
    }

    /// The name of the architecture's column, where that and the target are there.
    fn check_columns(&self) -> Result<&'static str, DataError> {
        let Some(architecture) = ARCHITECTURE.into_iter().find(|name| self.columns.has(name))
        else {
            let expected = format!("a latency table with a column {}", ARCHITECTURE.join(" or "));
            return Err(self.content(&expected, &format!("columns {}", self.columns.names())));
        };
        let numeric = self.columns.numeric();
        if self.columns.has(self.column) && self.columns.height() == 0 {
            return Err(self.content("rows of measurements", "none"));
        }
        if !self.columns.has(self.column) {
            let numeric: Vec<&str> = numeric.into_iter().filter(|n| *n != architecture).collect();
            let expected = format!("a column '{}' of numbers", self.column);
            let found = match &numeric[..] {
                [] => format!("no column of numbers among {}", self.columns.names()),
                some => format!("columns of numbers {}", some.join(", ")),
            };
            return Err(self.content(&expected, &found));
        }
        Ok(architecture)
    }

    /// Rows whose measurement did not fail and was not made again, by number from 0.
    fn kept_rows(&self) -> Result<Vec<usize>, DataError> {
        let n = self.columns.height();
        let texts = |column| match self.columns.has(column) {
            true => self.columns.texts(column),
            false => Ok(vec![None; n]),
        };
        let (status, superseded) = (texts("status")?, texts("superseded")?);
        let is_kept = |row: &usize| {
            status[*row].as_deref() != Some(Status::Failed.name())
                && superseded[*row].as_deref() != Some("true")
        };
        let kept: Vec<usize> = (0..n).filter(is_kept).collect();
        if kept.is_empty() {
            return Err(self.content("rows of measurements", &format!("{n} rows that all failed")));
        }
        Ok(kept)
    }

    /// In a profile's own table the rows that the column was measured for: energy is for a share of them only.
    fn measured(&self, kept: Vec<usize>, values: &[f64]) -> Result<Vec<usize>, DataError> {
        if !self.columns.has("format_version") {
            return Ok(kept);
        }
        let measured: Vec<usize> = kept.into_iter().filter(|&row| !values[row].is_nan()).collect();
        if measured.is_empty() {
            let expected = format!("a measured column '{}'", self.column);
            let found =
                "that it is empty: this run did not measure it, or the device does not tell";
            return Err(self.content(&expected, found));
        }
        Ok(measured)
    }

    fn check_constants(&self) -> Result<(), DataError> {
        // Rows of a merged run are scaled to one device, whichever measured them.
        let may_vary = |name: &str| name == "device" && self.is_merged();
        let constant = |name: &&str| self.columns.has(name) && !may_vary(name);
        for column in CONSTANT.into_iter().filter(constant) {
            let mut values = self.columns.distinct(column)?;
            if values.len() > 1 {
                let more = values.len().saturating_sub(8);
                values.truncate(8);
                let mut values: Vec<String> = values.iter().map(|v| format!("'{v}'")).collect();
                if more > 0 {
                    values.push(format!("and {more} more"));
                }
                let (path, values) = (self.path.to_owned(), values.join(", "));
                return Err(DataError::Mixed { path, column: column.to_owned(), values });
            }
        }
        Ok(())
    }

    /// A column `unit` must not contradict the target's name.
    fn check_unit(&self) -> Result<(), DataError> {
        let suffix = self.column.rsplit_once('_').map(|(_, suffix)| suffix);
        let Some(suffix) = suffix.filter(|suffix| UNITS.contains(suffix)) else { return Ok(()) };
        match self.constant("unit")? {
            Some(unit) if !unit.eq_ignore_ascii_case(suffix) => {
                let expected = format!("unit '{suffix}' as the name of '{}' says", self.column);
                Err(self.content(&expected, &format!("unit '{unit}'")))
            }
            _ => Ok(()),
        }
    }

    fn space(&self, asked: Option<&str>) -> Result<String, DataError> {
        match (self.constant("space")?, asked) {
            (Some(found), Some(asked)) if found != asked => Err(self.content(
                &format!("architectures of space '{asked}'"),
                &format!("those of '{found}'"),
            )),
            (Some(found), _) => Ok(found),
            (None, Some(asked)) => Ok(asked.to_owned()),
            (None, None) => Err(self.content(
                "a column 'space', or the search space named by --space",
                &format!("columns {}", self.columns.names()),
            )),
        }
    }

    fn check_values(&self, kept: &[usize], values: &[f64]) -> Result<(), DataError> {
        let is_bad = |row: &&usize| !(values[**row].is_finite() && values[**row] > 0.0);
        let mut bad = kept.iter().filter(is_bad);
        let Some(&first) = bad.next() else { return Ok(()) };
        Err(DataError::Values {
            path: self.path.to_owned(),
            column: self.column.to_owned(),
            count: 1 + bad.count(),
            rows: kept.len(),
            first_row: first + 1,
            found: values[first],
        })
    }

    fn group(
        &self,
        kept: &[usize],
        mut architectures: Vec<Option<String>>,
        values: &[f64],
    ) -> Result<Grouped, DataError> {
        let mut first_values: HashMap<String, f64> = HashMap::with_capacity(kept.len());
        let roles = match self.columns.has("role") {
            true => self.columns.texts("role")?,
            false => vec![None; self.columns.height()],
        };
        let mut rows = Vec::with_capacity(kept.len());
        let (mut repeats, mut anchors) = (Vec::new(), Vec::new());
        for &row in kept {
            let text = architectures[row].take().filter(|text| !text.trim().is_empty());
            let architecture = text.ok_or_else(|| {
                self.content("an architecture in each row", &format!("none in row {}", row + 1))
            })?;
            let value = values[row];
            if let Some(&first) = first_values.get(&architecture) {
                let is_anchor = roles[row].as_deref() == Some(Role::Anchor.name());
                if is_anchor { &mut anchors } else { &mut repeats }.push((first, value));
            } else {
                first_values.insert(architecture.clone(), value);
                rows.push(TableRow { architecture, value });
            }
        }
        Ok(Grouped { rows, repeats, anchors })
    }

    /// The header, where the table has all its columns; None where they hold several values, as in joined tables. Of a
    /// merged run's devices, which are of one model, it names the first.
    fn header(&self) -> Result<Option<RunHeader>, DataError> {
        let mut values = HashMap::new();
        let is_merged = self.is_merged();
        for column in HEADER_COLUMNS {
            if is_merged && column == "shard" {
                continue;
            }
            let value = if is_merged && column == "device" {
                self.columns.distinct(column)?.into_iter().next()
            } else {
                self.constant(column)?
            };
            match value {
                Some(value) => values.insert(column, value),
                // Tables of an older format lack what it did not know.
                None if NEW_IN_2.contains(&column) && !self.columns.has(column) => None,
                None => return Ok(None),
            };
        }
        let header = parse_header(&values).map_err(|error| {
            self.content("the columns of a run's header", &format!("what cannot be read: {error}"))
        })?;
        check_version(self.path, &header)?;
        Ok(Some(header))
    }

    /// Whether the table was made of shards; each row then has its device, and the factor that its latencies were given.
    fn is_merged(&self) -> bool {
        self.columns.has(SCALE_COLUMN)
    }

    /// The column's one value; None where the table lacks it or has several.
    fn constant(&self, column: &str) -> Result<Option<String>, DataError> {
        if !self.columns.has(column) {
            return Ok(None);
        }
        let mut values = self.columns.distinct(column)?;
        Ok(values.pop().filter(|value| values.is_empty() && !value.is_empty()))
    }

    fn content(&self, expected: &str, found: &str) -> DataError {
        DataError::content(self.path, expected, found)
    }
}

fn parse_header(values: &HashMap<&str, String>) -> Result<RunHeader, serde_json::Error> {
    let text = |name: &str| values.get(name).cloned();
    let is_set = |name: &str| values.get(name).is_some_and(|value| value == "true");
    Ok(RunHeader {
        version: serde_json::from_str(&values["format_version"])?,
        space: values["space"].clone(),
        skeleton: serde_json::from_str(&values["skeleton"])?,
        seed: serde_json::from_str(&values["seed"])?,
        batch: serde_json::from_str(&values["batch"])?,
        device: values["device"].clone(),
        device_name: values["device_name"].clone(),
        precision: values["precision"].clone(),
        mode: text("mode").unwrap_or_else(|| "eager".into()),
        channels_last: is_set("channels_last"),
        cold: is_set("cold"),
        shard: text("shard").filter(|shard| shard != "all"),
        threads: serde_json::from_str(&values["threads"])?,
        reference_ms: serde_json::from_str(&values["reference_ms"])?,
        versions: serde_json::from_str(&values["versions"])?,
    })
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
