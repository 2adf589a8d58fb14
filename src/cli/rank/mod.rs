//! `lat rank`: how well a supernet's inherited weights order architectures.

mod answer;
mod chosen;
mod truth;

use std::path::PathBuf;

use lat::batches::Images;
use lat::extracted::{Calibration, ExtractedNet};
use lat::rank::{Agreement, FEWEST};
use lat::search::OpenedSupernet;
use lat_data::Dataset;
use lat_space::Architecture;

use super::datasets::DatasetArgs;
use super::extract::said;
use super::failure::bad;
use super::output::{Screen, say, write_json, write_whole};
use super::recalibration::RecalibrationArgs;
use super::search_folder::{self, files, open};
use super::skeleton::{device, torch_device};
use super::written::Written;
use answer::{Answer, Row};
use truth::Truth;

/// Images per batch in the tests.
const BATCH: usize = 200;

/// Measure how well a supernet's inherited weights order architectures.
///
/// Each architecture is cut out of the supernet, its batch norm is recalibrated, and it is tested on the test images. The resulting
/// order is compared with published accuracies, or with accuracies after training from scratch. Prints Kendall's tau-b and
/// Spearman's rho with 95 % bootstrap intervals.
///
/// Example: lat rank --search runs/search-nasbench-macro-... --n 100
///
/// Example: lat rank --search runs/search-... --n 20 --train-epochs 5
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the search.
    #[arg(long, value_name = "DIR")]
    search: PathBuf,
    /// Number of architectures to compare, drawn at random: from the table if there is one, else from the space.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(FEWEST as i64..), conflicts_with = "archs")]
    n: u32,
    /// Compare the architectures in this file instead: one text per line, or a table as `lat predict --file` reads it.
    #[arg(long, value_name = "FILE")]
    archs: Option<PathBuf>,
    /// Parquet or CSV table of accuracies to use as the truth, as `lat front --accuracy-table` reads it [default: the built-in one
    /// of the space].
    #[arg(long, value_name = "TABLE", conflicts_with = "train_epochs")]
    truth: Option<PathBuf>,
    /// Column of the table to use [default: the first].
    #[arg(long, value_name = "COLUMN", conflicts_with = "train_epochs")]
    accuracy: Option<String>,
    /// Train each architecture from scratch for this many epochs, as `lat evaluate` does, and use its test accuracy as the truth.
    #[arg(long, value_name = "E", value_parser = clap::value_parser!(u32).range(1..))]
    train_epochs: Option<u32>,
    #[command(flatten)]
    recalibration: RecalibrationArgs,
    #[command(flatten)]
    images: DatasetArgs,
    /// Seed for everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Device to compute on: cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Also write the result as JSON here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write one row per architecture as CSV here.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    written(args).check()?;
    let device = device(args.device.as_deref())?;
    let opened = open(&args.search, torch_device(device))?;
    let truth = Truth::of(args, &opened, device)?;
    let architectures = chosen::architectures(args, &opened, &truth)?;
    if architectures.len() < FEWEST {
        return Err(bad(format!(
            "expected at least {FEWEST} architectures to order, found {}",
            architectures.len()
        )));
    }
    let (dataset, line) = search_folder::images(&opened, &args.images)?;
    truth.check_images(&dataset)?;
    say(format!("{}; {line}", said(&opened)))?;
    let torch = torch_device(device);
    let calibration = args.recalibration.calibration(&dataset, torch, args.seed)?;
    let subject = Subject { opened: &opened, dataset: &dataset, device: torch };
    let rows = rows(&subject, &architectures, calibration.as_ref(), &truth, screen)?;
    let answer = answer(args, &subject, calibration.as_ref(), &truth, rows);
    if let Some(path) = &args.json {
        write_json(path, &answer)?;
    }
    if let Some(path) = &args.csv {
        write_whole(path, &answer.csv())?;
    }
    answer.print()
}

/// The output files that the flags ask for, and the inputs that must not be written over.
fn written(args: &Args) -> Written {
    let inputs =
        files(&args.search).into_iter().chain(args.archs.clone()).chain(args.truth.clone());
    let written = args.images.protected().inputs(inputs);
    let written = written.output("--json", args.json.as_deref());
    written.output("--csv", args.csv.as_deref())
}

/// The supernet to examine, the images, and the device.
pub(super) struct Subject<'a> {
    pub(super) opened: &'a OpenedSupernet,
    pub(super) dataset: &'a Dataset,
    pub(super) device: tch::Device,
}

/// Inherited and true accuracy of each architecture.
fn rows(
    subject: &Subject<'_>,
    architectures: &[Architecture],
    calibration: Option<&Calibration>,
    truth: &Truth,
    screen: Screen,
) -> anyhow::Result<Vec<Row>> {
    let bar = screen.bar("architectures");
    bar.set_length(architectures.len() as u64);
    let test = Images::testing(subject.dataset, subject.device);
    let mut rows = Vec::new();
    for architecture in architectures {
        let (opened, dataset) = (subject.opened, subject.dataset);
        let extracted = ExtractedNet::cut(opened, architecture, dataset, calibration)?;
        let (inherited_loss, inherited_accuracy) = extracted.test(&test, BATCH)?;
        if !inherited_loss.is_finite() {
            return Err(super::failure::failed(format!(
                "the inherited loss of {} is {inherited_loss}, which has no rank; the supernet's weights ran away",
                extracted.label.architecture
            )));
        }
        let true_accuracy = truth.accuracy(subject, architecture)?;
        let architecture = extracted.label.architecture;
        rows.push(Row { architecture, inherited_accuracy, inherited_loss, true_accuracy });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn answer(
    args: &Args,
    subject: &Subject<'_>,
    calibration: Option<&Calibration>,
    truth: &Truth,
    rows: Vec<Row>,
) -> Answer {
    let column = |value: fn(&Row) -> f64| rows.iter().map(value).collect::<Vec<f64>>();
    let true_accuracies = column(|row| row.true_accuracy);
    let agreement = |found: &[f64]| Agreement::of(found, &true_accuracies, args.seed);
    let settings = &subject.opened.settings;
    Answer {
        search: args.search.clone(),
        space: settings.space.clone(),
        method: settings.method.clone(),
        epochs: subject.opened.n_epochs,
        dataset: settings.dataset.clone(),
        n_test_images: subject.dataset.test.n,
        recalibration: calibration.map(Calibration::record),
        truth: truth.to_string(),
        seed: args.seed,
        n: rows.len(),
        by_accuracy: agreement(&column(|row| row.inherited_accuracy)),
        // A low loss should rank high.
        by_loss: agreement(&column(|row| -row.inherited_loss)),
        rows,
    }
}
