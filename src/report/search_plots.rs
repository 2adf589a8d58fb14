//! Pictures of the course of one search.

use lat_space::SearchSpace;

use super::html::Figure;
use super::plot::{Mark, Plot};
use super::shown::known;
use crate::diagnostics::Diagnostics;
use crate::record::SearchRecord;
use crate::search::EpochReport;

/// One of an epoch's diagnostics, and the name of its line.
type Line = (fn(&Diagnostics) -> Option<f64>, &'static str);
/// A picture of diagnostics: title, y label, lines, explanation.
type Theme = (&'static str, &'static str, &'static [Line], &'static str);

const THEMES: &[Theme] = &[
    (
        "Choices without weights",
        "share",
        &[
            (|d| known(d.free_mass), "probability of choices without weights"),
            (|d| known(d.free_share), "kept edges without weights"),
            (|d| known(d.skip_share), "skips in the worst cell"),
            (|d| d.free_gradient_share, "their share of the task's gradient"),
        ],
        "none, skips and pools win early because they need no training. Where all three shares go to 1, nothing that learns is left: lower lambda.",
    ),
    (
        "Discretisation gap",
        "cross entropy",
        &[(|d| d.discretisation_gap, "derived minus supernet")],
        "Loss of the derived architecture with the supernet's weights minus the supernet's own, on the same images. Large: the mixture is used as a mixture, and the choice will cost accuracy.",
    ),
    (
        "Accuracy after derivation",
        "correct answers, %",
        &[(|d| d.derived_accuracy, "derived, with the supernet's weights")],
        "On the first images of the validation half.",
    ),
    (
        "Generalisation gap",
        "points",
        &[(|d| known(d.generalisation_gap), "training minus validation accuracy")],
        "Where it grows the weights overfit, and the architecture follows what they memorised.",
    ),
    (
        "Who learns",
        "0 to 1",
        &[
            (|d| d.gradient_gini, "Gini of gradients within an edge"),
            (|d| d.rich_get_richer, "rank correlation of probability and gradient"),
        ],
        "The Matthew effect: near 1, operations that lead get the gradients and the rest falls behind.",
    ),
    (
        "Accuracy against cost",
        "share, cosine",
        &[
            (|d| d.cost_gradient_share, "the cost's share of the gradient"),
            (|d| d.cost_gradient_cosine, "cosine between both gradients"),
        ],
        "Above one half early in a search, the cost decides before accuracy can. At -1 both pull against each other.",
    ),
    (
        "Curvature",
        "dominant eigenvalue",
        &[(|d| d.hessian_eigenvalue, "of the validation loss in the logits")],
        "A sharp rise comes before architectures that do badly on their own (RobustDARTS).",
    ),
];

fn over(record: &SearchRecord, get: &dyn Fn(&EpochReport) -> Option<f64>) -> Vec<(f64, f64)> {
    record.log.iter().filter_map(|e| Some((f64::from(e.epoch), get(e)?))).collect()
}

/// Pictures of the diagnostics in the log.
pub(super) fn diagnostics(record: &SearchRecord) -> Vec<Figure> {
    let figure = |(title, y, lines, meaning): &Theme| {
        let plot = lines.iter().fold(Plot::new("epoch", y), |plot, (get, name)| {
            let of = |e: &EpochReport| e.diagnostics.as_ref().and_then(get);
            plot.with(name, Mark::DottedLine, over(record, &of))
        });
        (!plot.series.is_empty()).then(|| Figure::new(title, &plot, meaning))
    };
    THEMES.iter().filter_map(figure).collect()
}

/// Pictures of the probabilities of each decision's choices, if the log has them.
pub(super) fn alphas(space: &dyn SearchSpace, record: &SearchRecord) -> Vec<Figure> {
    let figure = |(d, decision): (usize, &lat_space::Decision)| {
        let choices = decision.choices.iter().enumerate();
        let plot = choices.fold(Plot::new("epoch", "probability"), |plot, (c, choice)| {
            let of = |e: &EpochReport| e.probabilities.get(d)?.get(c).copied();
            plot.with(&choice.name, Mark::Line, over(record, &of))
        });
        let plot = Plot { from_zero: true, ..plot };
        (!plot.series.is_empty()).then(|| Figure::new(&decision.name, &plot, ""))
    };
    space.decisions().iter().enumerate().filter_map(figure).collect()
}

/// Pictures of loss, accuracy, cost, entropy and skips.
pub(super) fn plots(record: &SearchRecord) -> Vec<Figure> {
    let over = |get: &dyn Fn(&EpochReport) -> Option<f64>| over(record, get);
    let plot = |y: &str| Plot::new("epoch", y);
    let loss = plot("cross entropy")
        .with("training half", Mark::DottedLine, over(&|e| known(e.train_loss)))
        .with("validation half", Mark::DottedLine, over(&|e| known(e.valid_loss)));
    let accuracy = plot("correct answers, %")
        .with("training half", Mark::DottedLine, over(&|e| known(e.train_accuracy)))
        .with("validation half", Mark::DottedLine, over(&|e| known(e.valid_accuracy)));
    let mut figures = vec![
        Figure::new(
            "Loss of the supernet",
            &loss,
            "Weights learn on the training half, the architecture on the validation half. The validation half is judged in eval mode.",
        ),
        Figure::new(
            "Accuracy of the supernet",
            &accuracy,
            "Of the supernet with its shared weights: it ranks searches roughly. What the architecture is worth, lat evaluate says.",
        ),
    ];
    if let Some(column) = &record.column {
        let costs = plot(format!("{column}, {}", record.unit()).trim_end_matches(", "))
            .with("relaxed", Mark::DottedLine, over(&|e| e.relaxed_cost))
            .with("derived", Mark::DottedLine, over(&|e| e.derived_cost))
            .level(record.reference);
        figures.push(Figure::new("Predicted cost", &costs, "Relaxed: expected over the probabilities. Derived: of the architecture that would be taken at that epoch. The line across is the average architecture. Both should meet towards the end."));
    }
    let entropy = plot("nats").with("entropy", Mark::DottedLine, over(&|e| known(e.alpha_entropy)));
    figures.push(Figure::new("Entropy of the choices", &entropy, "Mean over the decisions. It falls as the search decides; where it stays high the derived architecture is a close call."));
    let mut skips = plot("skip connections");
    let cells = record.log.last().map_or(&[][..], |e| &e.skips[..]);
    for (cell, _) in cells {
        let of =
            |e: &EpochReport| e.skips.iter().find(|(name, _)| name == cell).map(|(_, n)| *n as f64);
        skips = skips.with(cell, Mark::DottedLine, over(&of));
    }
    skips.from_zero = true;
    figures.push(Figure::new("Skip connections", &skips, "In the architecture that would be derived, per cell type. A count that keeps rising is the collapse that DARTS is known for: stop earlier, or take another method."));
    figures
}
