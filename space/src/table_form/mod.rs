//! Forms of published latency tables of whole blocks: the rows whose sum is a network's latency.

mod names;
mod skeleton;

use crate::cases::both;
use crate::{Condition, Graph, Op, Piece, SpaceError, Step};

/// A form of latency table that others publish and read, with its own names for rows. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// That of `ProxylessNAS` (`search/utils/latency_estimator.py` of <https://github.com/mit-han-lab/proxylessnas>): `expand` is
    /// the ratio. Once-for-All reads it for the same backbone.
    Proxyless,
    /// That of Once-for-All for `MobileNetV3` (`ofa/nas/efficiency_predictor/latency_lookup_table.py` of
    /// <https://github.com/mit-han-lab/once-for-all>): one file per image size, and `expand` holds the middle channels.
    Ofa,
    /// That of HW-NAS-Bench for `FBNet` (`hw_nas_bench_api/hw_nas_bench_api.py` of <https://github.com/RICE-EIC/HW-NAS-Bench>).
    HwNasBench,
}

/// A row of such a table, as part of a network's latency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormRow {
    /// Its name in the published form.
    pub name: String,
    /// Height (= width) in pixels of the image for which the table is made.
    pub size: u16,
    /// The choices under which it counts; includes that of the image's size if it is searched.
    pub when: Condition,
    /// The piece that it times.
    pub piece: Piece,
}

impl TableForm {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::Proxyless, Self::Ofa, Self::HwNasBench];

    /// The name of the code that it comes from.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxyless => "ProxylessNAS",
            Self::Ofa => "Once-for-All",
            Self::HwNasBench => "HW-NAS-Bench",
        }
    }

    /// The rows for a space's graph. Resizing the image has no row: these tables begin with the image as it is. Operations that
    /// compute nothing have a row in HW-NAS-Bench's form only.
    ///
    /// # Errors
    /// [`SpaceError::NoRow`] if the form has no name for an operation.
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

    /// The form that a row's name belongs to; None if one row does not tell: `Conv`, `Conv_1` and `Logits` look alike in two
    /// forms.
    pub fn of_row(name: &str) -> Option<Self> {
        names::form_of(name)
    }
}

#[cfg(test)]
mod tests;
