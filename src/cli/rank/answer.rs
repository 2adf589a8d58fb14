//! What `lat rank` found.

use std::path::PathBuf;

use lat::extracted::Recalibration;
use lat::rank::{Agreement, Correlation};
use serde::Serialize;

use crate::cli::output::{say, table};

/// What `lat rank` found.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) search: PathBuf,
    pub(super) space: String,
    pub(super) method: String,
    /// Epochs behind the supernet's weights.
    pub(super) epochs: u32,
    pub(super) dataset: String,
    pub(super) n_test_images: usize,
    /// How batch norm's statistics were made; nothing where they are the supernet's.
    pub(super) recalibration: Option<Recalibration>,
    /// What counts as the truth, in words.
    pub(super) truth: String,
    pub(super) seed: u64,
    /// Architectures.
    pub(super) n: usize,
    /// Of inherited accuracies and true ones.
    pub(super) by_accuracy: Agreement,
    /// Of inherited losses, lowest first, and true accuracies.
    pub(super) by_loss: Agreement,
    pub(super) rows: Vec<Row>,
}

/// An architecture; accuracies in percent.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) architecture: String,
    /// On the test images, with the supernet's weights.
    pub(super) inherited_accuracy: f64,
    /// Cross entropy there.
    pub(super) inherited_loss: f64,
    pub(super) true_accuracy: f64,
}

impl Answer {
    /// The rows as CSV.
    pub(super) fn csv(&self) -> String {
        let row = |row: &Row| {
            // Texts may hold commas and quotes.
            let text = row.architecture.replace('"', "\"\"");
            format!(
                "\"{text}\",{},{},{}\n",
                row.inherited_accuracy, row.inherited_loss, row.true_accuracy
            )
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!("architecture,inherited_accuracy,inherited_loss,true_accuracy\n{rows}")
    }

    /// The result for people.
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
