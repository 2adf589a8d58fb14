//! Progress lines of a search.

use lat::diagnostics::{Collapse, Diagnostics};
use lat::methods::{Stage, learns};
use lat::search::EpochReport;
use lat_space::{Architecture, SearchSpace};

use crate::cli::output::{Screen, figure};

/// Two lines about an epoch: how far the search is, and how healthy it is.
pub(super) fn epoch_line(r: &EpochReport, epochs: u32, unit: &str) -> String {
    let cost = match (r.relaxed_cost, r.derived_cost) {
        (Some(relaxed), Some(derived)) => {
            let gap =
                r.relaxation_gap_percent.map_or_else(String::new, |g| format!(" (gap {g:+.2} %)"));
            let (relaxed, derived) = (figure(relaxed), figure(derived));
            format!(", cost {relaxed}{gap} relaxed / {derived} {unit} derived")
        }
        _ => String::new(),
    };
    let skips =
        r.skips.iter().map(|(cell, n)| format!("{n} {cell}")).collect::<Vec<_>>().join(" + ");
    let share = r
        .cost_share
        .map_or_else(String::new, |s| format!(", cost's share of the gradient {:.1} %", 100.0 * s));
    let state = r.diagnostics.as_ref().map_or_else(String::new, diagnostics);
    format!(
        "epoch {}/{epochs}: train loss {:.4} acc {:.1} %, valid loss {:.4} acc {:.1} %{cost}, {:.1} s\n    skips {skips}, alpha entropy {:.3}{share}{state}",
        r.epoch,
        r.train_loss,
        r.train_accuracy,
        r.valid_loss,
        r.valid_accuracy,
        r.seconds,
        r.alpha_entropy
    )
}

/// The diagnostics as text.
fn diagnostics(d: &Diagnostics) -> String {
    let some = |name: &str, value: Option<f64>| {
        value.map_or_else(String::new, |value| format!(", {name} {value:.2}"))
    };
    format!(
        ", free mass {:.2}{}{}{}{}",
        d.free_mass,
        some("discretisation gap", d.discretisation_gap),
        some("gradient gini", d.gradient_gini),
        some("cost's unbounded share", d.cost_gradient_share),
        some("eigenvalue", d.hessian_eigenvalue)
    )
}

/// The line about a collapse.
pub(super) fn collapse_line(collapse: &Collapse, stops: bool) -> String {
    let Collapse { epoch, keep, reason } = collapse;
    let what = if stops {
        format!("stopping with the architecture of epoch {keep}")
    } else {
        format!("--stop-on-collapse would have kept the architecture of epoch {keep}")
    };
    format!("warning: the search collapses at epoch {epoch}: {reason}; {what}")
}

/// The line about the beginning of a stage.
pub(super) fn stage_line(space: &dyn SearchSpace, stage: &Stage, n_stages: usize) -> String {
    let cells = stage.cells.map_or_else(String::new, |cells| format!(", {cells} cells"));
    let live = match &stage.live {
        Some(live) => live[0].len(),
        None => space.decisions()[0].choices.len(),
    };
    format!("stage {}/{n_stages}{cells}, {live} operations per edge", stage.number + 1)
}

/// Warns if the architecture has no operation with weights and therefore cannot learn. Too large a lambda leads there.
pub(super) fn warn_of_collapse(
    space: &dyn SearchSpace,
    architecture: &Architecture,
    screen: Screen,
) {
    if !learns(space, architecture) {
        screen.note(None, "warning: nothing that learns lies between input and output of a cell: all its operations are skips, pools and none; lower --lambda or raise --target-ms");
    }
}
