//! `lat export`: a predictor for other programs.

use std::path::PathBuf;

use lat_predictor::{ExportFormat, Predictor};

use super::newest;
use super::output::say;
use super::written::Written;

/// Write a predictor for other programs: TorchScript or ONNX.
///
/// Input `probs` [b, n_gates], float32: per decision a number per choice, in the order of the label, 0/1 for an architecture or
/// probabilities. Output `cost` [b] in the column's unit, differentiable and therefore without the floor that `lat predict` has;
/// ONNX also `sd` [b], the standard deviation of a measurement around it. The label lies in the file as JSON under `lat_label`.
///
/// In Python: torch.jit.load("p.pt")(probs).sum().backward(), or
/// onnxruntime.InferenceSession("p.onnx").run(None, {"probs": probs}).
///
/// Example: lat export --format onnx --predictor runs/predictor-nasbench201-cpu-c16-l3-r8-b1-seed0-latency_ms.lat --out p.onnx
#[derive(clap::Args)]
pub(super) struct Args {
    /// Predictor file [default: the newest].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// The form to write.
    #[arg(long, value_name = "torchscript|onnx")]
    format: ExportFormat,
    /// File to write [default: the predictor's, ending in .pt or .onnx].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// TorchScript: give cost and standard deviation, [2, b], so that `cost, sd = module(probs)`; ONNX has both anyway.
    #[arg(long)]
    sd: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => newest::any_predictor()?,
    };
    let out = args.out.clone().unwrap_or_else(|| path.with_extension(args.format.extension()));
    Written::default().output("--out", Some(&out)).inputs([&path]).check()?;
    let predictor = Predictor::load(&path)?;
    predictor.export(args.format, args.sd, &out)?;
    let result = match (args.format, args.sd) {
        (ExportFormat::TorchScript, false) => "cost [b]",
        (ExportFormat::TorchScript, true) => "cost and sd [2, b]",
        (ExportFormat::Onnx, _) => "cost [b], sd [b]",
    };
    let (label, n_gates) = (predictor.label(), predictor.feature_map().n_gates);
    say(format!(
        "{}: {} of {} for {}, probs [b, {n_gates}] -> {result} in {}",
        out.display(),
        args.format.name(),
        label.column,
        label.space,
        label.unit,
    ))
}
