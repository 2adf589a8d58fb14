//! The result of `lat rank`.

use std::path::PathBuf;

use lat::extracted::Recalibration;
use lat::rank::{Agreement, Correlation};
use serde::Serialize;

use crate::cli::output::{say, table};

/// The result of `lat rank`.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) search: PathBuf,
    pub(super) space: String,
    pub(super) method: String,
    /// Epochs that the supernet was trained for.
    pub(super) epochs: u32,
    pub(super) dataset: String,
    pub(super) n_test_images: usize,
    /// How batch norm's statistics were computed; null if they are the supernet's.
    pub(super) recalibration: Option<Recalibration>,
    /// The source of the true accuracies, in words.
    pub(super) truth: String,
    pub(super) seed: u64,
    /// Number of architectures.
    pub(super) n: usize,
    /// Rank agreement of inherited accuracies with true ones.
    pub(super) by_accuracy: Agreement,
    /// Rank agreement of inherited losses, lowest first, with true accuracies.
    pub(super) by_loss: Agreement,
    pub(super) rows: Vec<Row>,
}

/// One architecture; accuracies in percent.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) architecture: String,
    /// Accuracy on the test images with the supernet's weights.
    pub(super) inherited_accuracy: f64,
    /// Cross entropy on the test images.
    pub(super) inherited_loss: f64,
    pub(super) true_accuracy: f64,
}

impl Answer {
    /// The rows as CSV.
    pub(super) fn csv(&self) -> String {
        let row = |row: &Row| {
            // Texts may contain commas and quotes.
            let text = row.architecture.replace('"', "\"\"");
            format!(
                "\"{text}\",{},{},{}\n",
                row.inherited_accuracy, row.inherited_loss, row.true_accuracy
            )
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!("architecture,inherited_accuracy,inherited_loss,true_accuracy\n{rows}")
    }

    /// Prints the result.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        say(format!(
            "{} architectures by inherited weights on {} test images, against {}",
            self.n, self.n_test_images, self.truth
        ))?;
        let row = |by: &str, found: &Agreement| {
            vec![by.to_owned(), text(&found.kendall), text(&found.spearman)]
        };
        say(table(
            &["ordered by", "Kendall's tau-b (95 %)", "Spearman's rho (95 %)"],
            [row("accuracy", &self.by_accuracy), row("loss", &self.by_loss)],
        ))
    }
}

fn text(found: &Correlation) -> String {
    match (found.low, found.high) {
        (Some(low), Some(high)) => format!("{:.3} ({low:.3} to {high:.3})", found.value),
        _ => format!("{:.3} (all alike)", found.value),
    }
}
