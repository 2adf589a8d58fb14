//! `lat export`: writes a predictor for other programs.

use std::path::PathBuf;

use lat_predictor::{ExportFormat, Predictor};

use super::failure::bad;
use super::output::say;
use super::written::Written;
use super::{block_export, newest};

/// Write a predictor for other programs (TorchScript or ONNX), or a table of operations in the format of published latency tables.
///
/// Input `probs` [b, n_gates], float32: one number per choice of each decision, in the label's order; 0/1 for an architecture, or
/// probabilities. Output `cost` [b] in the column's unit; it is differentiable and therefore lacks the floor that `lat predict`
/// applies. ONNX also returns `sd` [b], the standard deviation of a measurement around it. The file contains the label as JSON under
/// `lat_label`.
///
/// In Python: torch.jit.load("p.pt")(probs).sum().backward(), or
/// onnxruntime.InferenceSession("p.onnx").run(None, {"probs": probs}).
///
/// With --per-op the table of `lat profile --per-op` is written in the format of its space's published tables: YAML that ProxylessNAS
/// and Once-for-All read (for the latter a folder with one file per image size), or JSON with HW-NAS-Bench's names.
///
/// Example: lat export --format onnx --predictor runs/predictor-nasbench201-cpu-c16-l3-r8-b1-seed0-latency_ms.lat --out p.onnx
///
/// Example: lat export --per-op runs/operations-proxyless-cpu-c32-l21-r224-b1-seed0 --out mobile.yaml
#[derive(clap::Args)]
pub(super) struct Args {
    /// Predictor file [default: the newest].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Format of the exported predictor.
    #[arg(long, value_name = "torchscript|onnx", required_unless_present = "per_op")]
    format: Option<ExportFormat>,
    /// Folder of a table of operations (`lat profile --per-op`) to write instead of a predictor.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["predictor", "format", "sd"])]
    per_op: Option<PathBuf>,
    /// File to write; a folder for tables of several image sizes [default: the predictor's name ending in .pt or .onnx; with --per-op
    /// latency-table in the table's folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// TorchScript: return cost and standard deviation, [2, b], so that `cost, sd = module(probs)`. ONNX always has both.
    #[arg(long)]
    sd: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.per_op {
        return block_export::run(dir, args.out.as_deref());
    }
    let format = args.format.ok_or_else(|| bad("expected --format, found none"))?;
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => newest::any_predictor()?,
    };
    let out = args.out.clone().unwrap_or_else(|| path.with_extension(format.extension()));
    Written::default().output("--out", Some(&out)).inputs([&path]).check()?;
    let predictor = Predictor::load(&path)?;
    predictor.export(format, args.sd, &out)?;
    let result = match (format, args.sd) {
        (ExportFormat::TorchScript, false) => "cost [b]",
        (ExportFormat::TorchScript, true) => "cost and sd [2, b]",
        (ExportFormat::Onnx, _) => "cost [b], sd [b]",
    };
    let (label, n_gates) = (predictor.label(), predictor.feature_map().n_gates);
    say(format!(
        "{}: {} of {} for {}, probs [b, {n_gates}] -> {result} in {}",
        out.display(),
        format.name(),
        label.column,
        label.space,
        label.unit,
    ))
}
