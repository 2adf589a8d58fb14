//! One value per architecture, from readings among which an architecture may occur several times.

use std::collections::HashMap;

use crate::TableRow;

/// Architectures that occur several times in a table, with different values.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// Number of architectures with several values.
    pub architectures: usize,
    /// The largest ratio of an architecture's largest value to its smallest, minus one.
    pub largest: f64,
    /// The architecture with this ratio.
    pub example: String,
    /// Its smallest and its largest value.
    pub values: (f64, f64),
    /// The rows of these two values, from 1, without the line of names.
    pub rows: (usize, usize),
}

/// One measurement to be put into a table.
pub(crate) struct Reading {
    pub(crate) architecture: String,
    pub(crate) value: f64,
    /// Number of its row in the file with the values.
    pub(crate) number: usize,
    /// Number of its row in the file with the architectures.
    pub(crate) place: usize,
    pub(crate) is_anchor: bool,
}

/// The rows and repeats of a table.
#[derive(Default)]
pub(crate) struct Grouped {
    pub(crate) rows: Vec<TableRow>,
    pub(crate) repeats: Vec<(f64, f64)>,
    pub(crate) anchors: Vec<(f64, f64)>,
    pub(crate) duplicates: Option<Duplicates>,
}

/// The first value counts if the largest value is at most this many times the smallest.
const APART: f64 = 2.0;

/// An architecture's values so far.
struct Values {
    first: f64,
    /// The values after the first; few architectures have any.
    further: Vec<f64>,
    /// Value and number of its row.
    least: (f64, usize),
    largest: (f64, usize),
}

impl Grouped {
    /// One row per architecture: its first value, or the average of all. If values are so far apart that not all can be right,
    /// the lower median counts, because disturbances make a measurement slower.
    pub(crate) fn of(readings: impl IntoIterator<Item = Reading>, average: bool) -> Self {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut values: Vec<Values> = Vec::new();
        let mut grouped = Self::default();
        for Reading { architecture, value, number, place: row, is_anchor } in readings {
            let Some(&place) = places.get(&architecture) else {
                places.insert(architecture.clone(), values.len());
                values.push(Values::new(value, number));
                grouped.rows.push(TableRow { architecture, value, number: row });
                continue;
            };
            let pair = (values[place].first, value);
            if is_anchor { &mut grouped.anchors } else { &mut grouped.repeats }.push(pair);
            values[place].add(value, number);
        }
        for (row, values) in grouped.rows.iter_mut().zip(&values) {
            row.value = match average {
                true => values.mean(),
                false if values.spread() > APART - 1.0 => values.lower_median(),
                false => values.first,
            };
        }
        grouped.duplicates = duplicates(&grouped.rows, &values);
        grouped
    }
}

fn duplicates(rows: &[TableRow], values: &[Values]) -> Option<Duplicates> {
    let several = || rows.iter().zip(values).filter(|(_, values)| values.spread() > 0.0);
    let (row, most) = several().max_by(|a, b| a.1.spread().total_cmp(&b.1.spread()))?;
    Some(Duplicates {
        architectures: several().count(),
        largest: most.spread(),
        example: row.architecture.clone(),
        values: (most.least.0, most.largest.0),
        rows: (most.least.1, most.largest.1),
    })
}

impl Values {
    fn new(value: f64, number: usize) -> Self {
        let both = (value, number);
        Self { first: value, further: Vec::new(), least: both, largest: both }
    }

    fn add(&mut self, value: f64, number: usize) {
        self.further.push(value);
        if value < self.least.0 {
            self.least = (value, number);
        }
        if value > self.largest.0 {
            self.largest = (value, number);
        }
    }

    fn all(&self) -> impl Iterator<Item = f64> {
        std::iter::once(self.first).chain(self.further.iter().copied())
    }

    fn mean(&self) -> f64 {
        self.all().sum::<f64>() / (1 + self.further.len()) as f64
    }

    fn lower_median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.all().collect();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    }

    /// The ratio of the largest value to the smallest (which is above zero), minus one.
    fn spread(&self) -> f64 {
        self.largest.0 / self.least.0 - 1.0
    }
}
