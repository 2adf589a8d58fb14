//! Published accuracies of the architectures that searches found, and fronts of their whole spaces.

use std::path::Path;

use lat::record::{Published, SearchRecord};
use lat::report::TrueFront;
use lat_data::{AccuracyColumn, AccuracyTable, PublishedAccuracy};
use lat_predictor::Predictor;
use lat_space::{SearchSpace, find_space};

use crate::cli::accuracy::AccuracyArgs;
use crate::cli::failure::bad;
use crate::cli::front::{points, price};

/// Relative difference up to which a predictor's value and the prediction noted by a search count as the same predictor.
const SAME_PREDICTOR: f64 = 1e-3;

/// Accuracy tables of all spaces that were searched.
pub(super) struct Tables {
    all: Vec<(Box<dyn SearchSpace>, Option<AccuracyTable>)>,
    /// Whether the tables come from a flag.
    are_named: bool,
}

impl Tables {
    /// For each space that the program knows: the table that is named, else the built-in one.
    pub(super) fn of<'a>(
        args: &AccuracyArgs,
        spaces: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let mut all: Vec<(Box<dyn SearchSpace>, Option<AccuracyTable>)> = Vec::new();
        for id in spaces {
            if all.iter().any(|(space, _)| space.id() == id) {
                continue;
            }
            if let Ok(space) = find_space(id) {
                let table = args.table(space.as_ref())?;
                all.push((space, table));
            }
        }
        Ok(Self { all, are_named: args.file.is_some() })
    }

    /// The published accuracy of an architecture: from the named table. If none is named, the value noted by the search or
    /// evaluation if it came from a table other than the built-in one, else the built-in table's.
    pub(super) fn of_found(
        &self,
        (id, text): (&str, &str),
        noted: &Published,
    ) -> Option<PublishedAccuracy> {
        let source = noted.published_accuracy_source.as_ref();
        let counts = |table: &&AccuracyTable| {
            self.are_named || source.is_none_or(|source| *source == table.source)
        };
        let found = self.all.iter().find(|(space, _)| space.id() == id);
        let found = found.and_then(|(space, table)| Some((space, table.as_ref().filter(counts)?)));
        match found {
            Some((space, table)) => {
                let architecture = space.parse(text).ok();
                architecture.and_then(|architecture| table.of(space.as_ref(), &architecture))
            }
            None => noted.accuracy(),
        }
    }

    /// For each space and cost the front of all architectures, or the reason why it is not known.
    pub(super) fn fronts(
        &self,
        predictor: Option<&Path>,
        records: &[&SearchRecord],
    ) -> anyhow::Result<Vec<TrueFront>> {
        let named = predictor.map(|path| Ok::<_, anyhow::Error>((path, Predictor::load(path)?)));
        let named = named.transpose()?;
        let mut fits = named.is_none();
        let mut fronts: Vec<TrueFront> = Vec::new();
        for (space, table) in &self.all {
            let own = || records.iter().filter(|record| record.settings.space == space.id());
            let mut columns: Vec<&String> = own().filter_map(|r| r.column.as_ref()).collect();
            columns.sort();
            columns.dedup();
            for column in columns {
                let alike = own().filter(|r| r.column.as_ref() == Some(column));
                let alike: Vec<&SearchRecord> = alike.copied().collect();
                let own = named.as_ref().filter(|(_, p)| p.check(space.as_ref(), column).is_ok());
                fits |= own.is_some();
                let Some(table) = table else { continue };
                let found = match own {
                    Some((path, predictor)) => Ok((*path, predictor.to_device(tch::Device::Cpu))),
                    None => at_hand(space.as_ref(), column, &alike),
                };
                fronts.extend(of_space(space.as_ref(), column, table, found)?);
            }
        }
        match predictor {
            Some(path) if !fits => Err(bad(format!(
                "expected --predictor to be of the space and cost of one of the searches, found {} of none",
                path.display()
            ))),
            _ => Ok(fronts),
        }
    }
}

/// One front per accuracy column.
fn of_space(
    space: &dyn SearchSpace,
    column: &str,
    table: &AccuracyTable,
    found: Result<(&Path, Predictor), String>,
) -> anyhow::Result<Vec<TrueFront>> {
    let front = |accuracy: &AccuracyColumn, points: Vec<(f64, f64)>, said: &str| TrueFront {
        space: space.id().to_owned(),
        column: column.to_owned(),
        accuracy: accuracy.name.clone(),
        points,
        said: said.to_owned(),
    };
    let (path, predictor) = match found {
        Ok(found) => found,
        Err(why) => return Ok(table.columns.iter().map(|c| front(c, Vec::new(), &why)).collect()),
    };
    let priced = price(&predictor, space, table)?;
    let said = format!(
        "The front of the whole space is of its {} architectures with published accuracies, priced by {}.",
        table.len(),
        path.display()
    );
    let of = |(i, accuracy): (usize, &AccuracyColumn)| {
        let all = points(&priced, table, i);
        let on_front = lat::pareto::front(&all).into_iter().map(|row| all[row]).collect();
        front(accuracy, on_front, &said)
    };
    Ok(table.columns.iter().enumerate().map(of).collect())
}

/// The predictor that all these searches name, if it still gives the predictions noted in them; else a sentence with the reason.
fn at_hand<'a>(
    space: &dyn SearchSpace,
    column: &str,
    records: &[&'a SearchRecord],
) -> Result<(&'a Path, Predictor), String> {
    let missing = |why: &str| {
        let advice = "name the predictor with --predictor to have it drawn";
        format!("The front of the whole space is missing, since {why}: {advice}.")
    };
    let mut paths: Vec<&Path> =
        records.iter().filter_map(|record| record.predictor.as_deref()).collect();
    paths.sort();
    paths.dedup();
    let path = match paths[..] {
        [path] => path,
        [] => return Err(missing("the searches do not say which predictor they used")),
        _ => return Err(missing("the searches used several predictors")),
    };
    let usable = |p: &Predictor| p.check(space, column).is_ok();
    let Some(predictor) = Predictor::load(path).ok().filter(usable) else {
        return Err(missing(&format!("{} is not there or is of another space", path.display())));
    };
    let costs = |record: &&SearchRecord| -> Option<(f64, f64)> {
        let architecture = space.parse(&record.architecture).ok()?;
        let now = predictor.price_columns(&architecture.gates(space.decisions()), 1).ok()?;
        Some((now[0], record.predicted?))
    };
    let is_other = |(now, then): (f64, f64)| (now / then - 1.0).abs() > SAME_PREDICTOR;
    if records.iter().filter_map(costs).any(is_other) {
        let why = format!("{} prices what they found differently now", path.display());
        return Err(missing(&why));
    }
    Ok((path, predictor))
}
