//! Milliseconds of a network's pieces, from a table measured by `lat` or a published one. A missing row is reported only when it
//! is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lat_data::BlockFile;
use lat_space::{
    Architecture, Condition, FormRow, Piece, SPACES, SearchSpace, Skeleton, TableForm, VARIANTS,
};

use crate::cost::gates::GateLayout;
use crate::{PredictError, TableCost};

/// A table of pieces, each with the choices under which it counts.
#[derive(Debug, Clone)]
pub struct PieceCosts {
    column: String,
    layout: GateLayout,
    skeleton: Skeleton,
    rows: Vec<(Condition, Result<f64, Missing>)>,
    /// Names of all rows of a published table, for messages.
    names: Vec<String>,
    sizes: BTreeSet<u16>,
}

/// The part that a table lacks.
#[derive(Debug, Clone)]
enum Missing {
    /// A piece of a table measured by `lat`, by its key.
    Entry(String),
    /// A row of a published table.
    Row(String),
    /// All rows for images of this size.
    Size(u16),
}

impl PieceCosts {
    /// The pieces of a space's network, with the cost that `look_up` gives for each. Pieces that compute nothing cost nothing.
    ///
    /// # Errors
    /// [`PredictError::Space`] if the skeleton does not fit the space.
    pub fn look_up(
        space: &dyn SearchSpace,
        skeleton: &Skeleton,
        column: &str,
        look_up: &dyn Fn(&Piece) -> Option<f64>,
    ) -> Result<Self, PredictError> {
        space.check_skeleton(skeleton)?;
        let cost = |piece: &Piece| match piece.computes() {
            false => Ok(0.0),
            true => look_up(piece).ok_or_else(|| Missing::Entry(piece.key())),
        };
        let pieces = space.graph(skeleton).pieces();
        let rows = pieces.into_iter().map(|(when, piece)| (when, cost(&piece))).collect();
        Ok(Self {
            column: column.to_owned(),
            layout: GateLayout::of(space),
            skeleton: *skeleton,
            rows,
            names: Vec::new(),
            sizes: BTreeSet::new(),
        })
    }

    /// The rows of published tables whose sums are the latencies of the space's networks. The skeleton is the one that the tables
    /// were measured for ([`TableForm::skeleton`]). The rows of a file hold for the image sizes of its first convolutions.
    ///
    /// # Errors
    /// [`PredictError::Mismatch`] if the space has no published tables, a table has another form, or files contradict each other;
    /// [`PredictError::Space`] if the space cannot have these widths.
    pub fn of_tables(
        space: &dyn SearchSpace,
        column: &str,
        files: &[BlockFile],
    ) -> Result<Self, PredictError> {
        let form = space.table_form().ok_or_else(|| no_form(space.id()))?;
        files.iter().try_for_each(|file| check_form(form, file))?;
        let all = files.iter().flat_map(|file| file.rows.keys());
        let skeleton = TableForm::skeleton(space, &all.clone().map(String::as_str))?;
        let graph = space.graph(&skeleton);
        let wanted: BTreeSet<u16> = graph.image_sizes().into_iter().map(|(_, size)| size).collect();
        let known = by_size(files, &wanted)?;
        let sizes: BTreeSet<u16> = known.keys().map(|(size, _)| *size).collect();
        let cost = |FormRow { name, size, .. }: &FormRow| match known.get(&(*size, name.as_str())) {
            Some((ms, _)) => Ok(*ms),
            None if sizes.contains(size) => Err(Missing::Row(name.clone())),
            None => Err(Missing::Size(*size)),
        };
        let rows = form.rows(&graph)?.into_iter().map(|row| (row.when.clone(), cost(&row)));
        let rows = rows.collect();
        let (column, layout) = (column.to_owned(), GateLayout::of(space));
        Ok(Self { column, layout, skeleton, rows, names: all.cloned().collect(), sizes })
    }

    /// The skeleton of the networks.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// The sum for one architecture, in the column's unit. Only the pieces of its network are looked up.
    ///
    /// # Errors
    /// The errors of [`TableCost::cost`](crate::CostModel::cost); if a piece or row is missing, the error names it.
    pub fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        self.layout.check(architecture)?;
        let stands =
            |when: &Condition| when.iter().all(|&(d, c)| architecture.choices[d].contains(c));
        let standing = self.rows.iter().filter(|(when, _)| stands(when));
        standing.map(|(_, cost)| cost.as_ref().map_err(|missing| self.error(missing))).sum()
    }

    /// The table as a cost for a search, which covers all architectures and all mixtures of them.
    ///
    /// # Errors
    /// The error names the first piece or row that is missing; [`PredictError::NotFinite`] if a value is not a number.
    pub fn table(&self, space: &dyn SearchSpace) -> Result<TableCost, PredictError> {
        let (mut constant, mut weights) = (0.0, BTreeMap::<Condition, f64>::new());
        for (when, cost) in &self.rows {
            let cost = *cost.as_ref().map_err(|missing| self.error(missing))?;
            match when.is_empty() {
                true => constant += cost,
                false => *weights.entry(when.clone()).or_insert(0.0) += cost,
            }
        }
        TableCost::of_conditions(space, &self.column, constant, weights)
    }

    fn error(&self, missing: &Missing) -> PredictError {
        match missing {
            Missing::Entry(key) => PredictError::NoEntry { key: key.clone() },
            Missing::Row(name) => {
                let shared = |other: &&String| {
                    other.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count()
                };
                let nearest = self.names.iter().max_by_key(shared).cloned().unwrap_or_default();
                PredictError::NoRow { name: name.clone(), nearest }
            }
            Missing::Size(size) => {
                let found: Vec<String> = self.sizes.iter().map(ToString::to_string).collect();
                PredictError::NoSize { size: *size, found: found.join(", ") }
            }
        }
    }
}

fn no_form(space: &str) -> PredictError {
    let all = SPACES.iter().chain(VARIANTS).map(|build| build());
    let with: Vec<String> = all
        .filter(|space| space.table_form().is_some())
        .map(|space| space.id().to_owned())
        .collect();
    PredictError::Mismatch {
        what: "a published latency table with a space that there are such tables for,",
        expected: format!("one of {}", with.join(", ")),
        found: space.to_owned(),
        advice: "name another space, or measure a table of your own with lat profile --per-op",
    }
}

/// Checks that the rows of a file have the form of the space's tables.
fn check_form(form: TableForm, file: &BlockFile) -> Result<(), PredictError> {
    let told = file.rows.keys().find_map(|name| Some((TableForm::of_row(name)?, name)));
    match told {
        Some((other, name)) if other != form => Err(PredictError::Mismatch {
            what: "a latency table in the form of",
            expected: form.name().to_owned(),
            found: format!("one of {}: row '{name}' in {}", other.name(), file.path.display()),
            advice: "name the space that the table is of, or a table of this space's blocks",
        }),
        _ => Ok(()),
    }
}

/// Milliseconds by image size and row, each with the file that contains it.
type Known<'a> = BTreeMap<(u16, &'a str), (f64, &'a Path)>;

/// The contents of all files by image size. A file without a first convolution holds for all `sizes`, so any row that it lacks is
/// reported as missing for each of them.
fn by_size<'a>(files: &'a [BlockFile], sizes: &BTreeSet<u16>) -> Result<Known<'a>, PredictError> {
    let mut known = BTreeMap::new();
    for file in files {
        let own: BTreeSet<u16> =
            file.rows.keys().filter_map(|name| TableForm::image_size(name)).collect();
        for &size in if own.is_empty() { sizes } else { &own } {
            for (name, &ms) in &file.rows {
                let before = known.insert((size, name.as_str()), (ms, file.path.as_path()));
                if let Some((other, path)) = before.filter(|(other, _)| *other != ms) {
                    return Err(PredictError::Mismatch {
                        what: "latency tables with",
                        expected: format!("one number for row '{name}' at {size} pixels"),
                        found: format!(
                            "{other} ms in {}, {ms} ms in {}",
                            path.display(),
                            file.path.display()
                        ),
                        advice: "name the tables of one device alone",
                    });
                }
            }
        }
    }
    Ok(known)
}
