//! The tables that `--per-op` names: the folder of a table measured with `lat profile --per-op`, or published tables of whole blocks.

use std::path::{Path, PathBuf};

use lat_data::{RunHeader, checksum, read_block_tables};
use lat_predictor::{CostModel, PieceCosts, PredictError, TableCost};
use lat_space::{Architecture, SearchSpace};

use super::failure::bad;
use super::op_table::{self, OpTable};

/// The cost column of all these tables.
pub(super) const COLUMN: &str = "latency_ms";

/// Costs of the pieces that the space's networks consist of.
pub(super) struct OpCosts {
    pub(super) costs: PieceCosts,
    /// Where and how the costs were measured. None for published tables, which do not say.
    pub(super) header: Option<RunHeader>,
    /// CRC-32 of the files read.
    pub(super) checksum: String,
    /// Where the costs come from, for people: `operations of runs/operations-..`.
    pub(super) source: String,
    /// Number of rows.
    n_rows: usize,
}

impl OpCosts {
    /// Reads the tables at these places for this space.
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

    /// A line that says what is added up.
    pub(super) fn line(&self) -> String {
        format!("{} {}, added up", self.n_rows, self.source)
    }

    /// Computes the cost of architectures. If the table lacks some pieces, only architectures made of the others have a cost.
    pub(super) fn pricer(&self, space: &dyn SearchSpace) -> Pricer<'_> {
        match self.costs.table(space) {
            Ok(table) => Pricer::Whole(Box::new(table)),
            Err(_) => Pricer::Part(&self.costs),
        }
    }
}

/// A table with all pieces of the space, or one that is checked for each architecture's pieces.
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

/// Whether the place is the folder of a table that `lat profile --per-op` wrote.
pub(super) fn is_own(place: &Path) -> bool {
    place.join(op_table::FILE).exists()
}

/// The files that are read, which must not be written over.
pub(super) fn files(places: &[PathBuf]) -> Vec<PathBuf> {
    let of =
        |place: &PathBuf| if is_own(place) { place.join(op_table::FILE) } else { place.clone() };
    places.iter().map(of).collect()
}
