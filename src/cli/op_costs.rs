//! What `--per-op` names: the folder of one's own table of operations, or published tables of whole blocks.

use std::path::{Path, PathBuf};

use lat_data::{RunHeader, checksum, read_block_tables};
use lat_predictor::{CostModel, PieceCosts, PredictError, TableCost};
use lat_space::{Architecture, SearchSpace};

use super::failure::bad;
use super::op_table::{self, OpTable};

/// The column of all these tables.
pub(super) const COLUMN: &str = "latency_ms";

/// Costs of the pieces of a space's networks.
pub(super) struct OpCosts {
    pub(super) costs: PieceCosts,
    /// Where and how they were measured, of a table of one's own; published ones do not say.
    pub(super) header: Option<RunHeader>,
    /// CRC-32 of what was read.
    pub(super) checksum: String,
    /// Where they are from: `operations of runs/operations-..`.
    pub(super) source: String,
    /// How many there are.
    n_rows: usize,
}

impl OpCosts {
    /// Reads them for this space.
    pub(super) fn read(places: &[PathBuf], space: &dyn SearchSpace) -> anyhow::Result<Self> {
        let own = places.iter().find(|place| is_own(place));
        match own {
            Some(dir) if places.len() == 1 => Self::own(dir, space),
            Some(dir) => Err(bad(format!(
                "expected --per-op to name one folder of lat profile --per-op, or published tables alone; found {} among {} places",
                dir.display(),
                places.len()
            ))),
            None => Self::published(places, space),
        }
    }

    fn own(dir: &Path, space: &dyn SearchSpace) -> anyhow::Result<Self> {
        let table = OpTable::read(dir, space.id())?;
        Ok(Self {
            costs: table.costs(space)?,
            checksum: table.checksum,
            source: format!("operations of {}", dir.display()),
            n_rows: table.operations.len(),
            header: Some(table.header),
        })
    }

    fn published(places: &[PathBuf], space: &dyn SearchSpace) -> anyhow::Result<Self> {
        let files = read_block_tables(places)?;
        let sums: Vec<&str> = files.iter().map(|file| file.checksum.as_str()).collect();
        let checksum =
            if sums.len() == 1 { sums[0].into() } else { checksum(sums.concat().as_bytes()) };
        let names: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Ok(Self {
            costs: PieceCosts::of_tables(space, COLUMN, &files)?,
            header: None,
            checksum,
            source: format!("rows of {}", names.join(", ")),
            n_rows: files.iter().map(|file| file.rows.len()).sum(),
        })
    }

    /// What is added up, in words.
    pub(super) fn line(&self) -> String {
        format!("{} {}, added up", self.n_rows, self.source)
    }

    /// What an architecture costs; of a table that lacks some pieces, those that consist of the others.
    pub(super) fn pricer(&self, space: &dyn SearchSpace) -> Pricer<'_> {
        match self.costs.table(space) {
            Ok(table) => Pricer::Whole(Box::new(table)),
            Err(_) => Pricer::Part(&self.costs),
        }
    }
}

/// A table that has all pieces, or one that is asked for those of each architecture.
pub(super) enum Pricer<'a> {
    Whole(Box<TableCost>),
    Part(&'a PieceCosts),
}

impl Pricer<'_> {
    pub(super) fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        match self {
            Self::Whole(table) => table.cost(architecture),
            Self::Part(costs) => costs.cost(architecture),
        }
    }
}

/// Whether a place is the folder of one's own table.
pub(super) fn is_own(place: &Path) -> bool {
    place.join(op_table::FILE).exists()
}

/// The files that are read, which must not be written over.
pub(super) fn files(places: &[PathBuf]) -> Vec<PathBuf> {
    let of =
        |place: &PathBuf| if is_own(place) { place.join(op_table::FILE) } else { place.clone() };
    places.iter().map(of).collect()
}
