//! `lat extract`: cuts the network of one architecture out of a search's supernet.

use std::path::{Path, PathBuf};

use lat::batches::Images;
use lat::extracted::ExtractedNet;
use lat::search::OpenedSupernet;
use lat_space::Architecture;

use super::architectures::read;
use super::datasets::DatasetArgs;
use super::output::{Screen, say};
use super::recalibration::RecalibrationArgs;
use super::records::read_search;
use super::search_folder::{self, files, open};
use super::skeleton::{device, torch_device};
use super::written::Written;

/// Images per batch in the test.
const BATCH: usize = 200;

/// Cut the network of one architecture out of a search's supernet, with its weights.
///
/// Recalibrates batch norm on training images, tests the network, and writes its weights as safetensors. `lat evaluate --weights`
/// continues training them, `lat time --weights` times them. With --torchscript it also writes the network for other programs.
///
/// In Python: torch.jit.load("net.pt")(images), or safetensors.torch.load_file("net.safetensors").
///
/// Example: lat extract --search runs/search-... --out net.safetensors --torchscript net.pt
#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of the search.
    #[arg(long, value_name = "DIR")]
    search: PathBuf,
    /// Architecture text, or the search.json of a search [default: the architecture that the search found].
    #[arg(long, value_name = "TEXT|FILE")]
    arch: Option<String>,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also write the network as TorchScript (in eval mode) here.
    #[arg(long, value_name = "FILE")]
    torchscript: Option<PathBuf>,
    #[command(flatten)]
    recalibration: RecalibrationArgs,
    #[command(flatten)]
    images: DatasetArgs,
    /// Seed for choosing the images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Device to compute on: cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    written(args).check()?;
    let device = torch_device(device(args.device.as_deref())?);
    let opened = open(&args.search, device)?;
    let architecture = architecture(args, &opened)?;
    opened.check(&architecture)?;
    let (dataset, line) = search_folder::images(&opened, &args.images)?;
    say(format!("{}; {line}", said(&opened)))?;
    let working = screen.working("recalibrating and testing the network");
    let calibration = args.recalibration.calibration(&dataset, device, args.seed)?;
    let extracted = ExtractedNet::cut(&opened, &architecture, &dataset, calibration.as_ref())?;
    let (loss, accuracy) = extracted.test(&Images::testing(&dataset, device), BATCH)?;
    working.finish_and_clear();
    extracted.save(&args.out)?;
    say(&extracted.label.architecture)?;
    let statistics = match &extracted.label.recalibration {
        Some(by) => format!("recalibrated {} on {} images", by.rule, by.n_images),
        None => "with the supernet's batch statistics".to_owned(),
    };
    say(format!(
        "test accuracy {accuracy:.2} %, cross entropy {loss:.4}, {statistics}; {} weights at {}; {}",
        extracted.n_weights(),
        extracted.label.skeleton,
        args.out.display()
    ))?;
    match &args.torchscript {
        Some(path) => write_torchscript(extracted, path),
        None => Ok(()),
    }
}

/// The output files that the flags ask for, and the inputs that must not be written over.
fn written(args: &Args) -> Written {
    let written = args.images.protected().inputs(files(&args.search)).inputs(&args.arch);
    let written = written.output("--out", Some(&args.out));
    written.output("--torchscript", args.torchscript.as_deref())
}

/// The architecture that the flags name, else the one that the search found.
fn architecture(args: &Args, opened: &OpenedSupernet) -> anyhow::Result<Architecture> {
    if let Some(text) = &args.arch {
        return Ok(read(text, Some(&opened.settings.space))?.architecture);
    }
    let [_, record] = files(&args.search);
    let found = read_search(&record).map_err(|error| {
        error.context("expected what the search found, or an architecture by --arch")
    })?;
    Ok(opened.space.parse(&found.architecture)?)
}

/// A line that describes the supernet.
pub(super) fn said(opened: &OpenedSupernet) -> String {
    let settings = &opened.settings;
    format!(
        "supernet of {} by {} after {} of {} epochs",
        settings.space, settings.method, opened.n_epochs, settings.epochs
    )
}

fn write_torchscript(extracted: ExtractedNet, path: &Path) -> anyhow::Result<()> {
    let hw = extracted.label.skeleton.resolution;
    extracted.write_torchscript(path)?;
    say(format!("images [n, 3, {hw}, {hw}] -> logits [n, classes]: {}", path.display()))
}
