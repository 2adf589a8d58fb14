//! Forms of published latency tables of whole blocks: which rows a network is the sum of.

mod names;
mod skeleton;

use crate::cases::both;
use crate::{Condition, Graph, Op, Piece, SpaceError, Step};

/// A form of latency table that others publish and read, with names for its rows. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// `ProxylessNAS`' (`search/utils/latency_estimator.py` of <https://github.com/mit-han-lab/proxylessnas>): `expand` is the ratio.
    /// Once-for-All reads it for the same backbone.
    Proxyless,
    /// Once-for-All's for `MobileNetV3` (`ofa/nas/efficiency_predictor/latency_lookup_table.py` of
    /// <https://github.com/mit-han-lab/once-for-all>): one file per size of the image, and `expand` holds the middle channels.
    Ofa,
    /// HW-NAS-Bench's for `FBNet` (`hw_nas_bench_api/hw_nas_bench_api.py` of <https://github.com/RICE-EIC/HW-NAS-Bench>).
    HwNasBench,
}

/// A row that a network is priced by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormRow {
    /// Its name in the published form.
    pub name: String,
    /// Height and width of the image in pixels, for which such a table is made.
    pub size: u16,
    /// The choices under which it counts, that of the image's size among them where it is searched.
    pub when: Condition,
    /// What it times.
    pub piece: Piece,
}

impl TableForm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Proxyless, Self::Ofa, Self::HwNasBench];

    /// Whose form it is.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxyless => "ProxylessNAS",
            Self::Ofa => "Once-for-All",
            Self::HwNasBench => "HW-NAS-Bench",
        }
    }

    /// The rows of a space's graph. Changes of the image's size have none: these tables begin with the image as it is. What computes
    /// nothing has a row in HW-NAS-Bench's form alone.
    ///
    /// # Errors
    /// [`SpaceError::NoRow`] for an operation that the form has no name for.
    pub fn rows(self, graph: &Graph) -> Result<Vec<FormRow>, SpaceError> {
        let sizes = graph.image_sizes();
        let mut rows = Vec::new();
        let mut add = |when: &Condition, named: Vec<(String, Piece)>| {
            for &(choice, size) in &sizes {
                let of_size: Condition = choice.into_iter().collect();
                let Some(when) = both(when, &of_size) else { continue };
                let row = |(name, piece)| FormRow { name, size, when: when.clone(), piece };
                rows.extend(named.iter().cloned().map(row));
            }
        };
        for variant in graph.variants().filter(|variant| variant.op.op != Op::None) {
            let is_searched = matches!(graph.nodes[variant.node].step, Step::Searched { .. });
            let named = names::of_op(self, &variant.op, is_searched);
            let no_row = || SpaceError::NoRow { form: self.name(), key: variant.op.key() };
            add(&variant.when, named.ok_or_else(no_row)?);
        }
        for (when, classifier) in graph.classifiers() {
            add(&when, names::of_classifier(self, classifier));
        }
        Ok(rows)
    }

    /// The form that a row's name is of, where that can be told from one row: `Conv`, `Conv_1` and `Logits` are alike in two.
    pub fn of_row(name: &str) -> Option<Self> {
        names::form_of(name)
    }
}

#[cfg(test)]
mod tests;
