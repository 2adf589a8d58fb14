//! `lat time`: times somebody's own network, or an extracted one.

use std::path::{Path, PathBuf};

use lat::extracted::ExtractedNet;
use lat_data::Measurement;
use lat_data::{Mode, OperatingPoint, Precision};
use lat_profiler::{DeviceSpec, ProfileOptions, time_module, time_net};

use super::failure::bad;
use super::output::{say, write_json};
use super::skeleton::{device, torch_device};
use super::written::Written;

/// Time a TorchScript module of your own, or a network that `lat extract` wrote.
///
/// With the care that architectures get: warm-up, timed runs until the 95 % interval of the median is within 1 % or the cap
/// comes, CUDA events on a GPU, the reference network on a CPU. Make the file with torch.jit.trace(model, x).save("model.pt").
/// A module is a program and can do what you can, write files too: time only modules that you trust.
///
/// Example: lat time model.pt --input 1x3x224x224 --device cuda:0 --mode both
///
/// Example: lat time --weights net.safetensors --batch 8
#[derive(clap::Args)]
pub(super) struct Args {
    /// The module's file.
    #[arg(required_unless_present = "weights", conflicts_with = "weights")]
    file: Option<PathBuf>,
    /// Shape of an input, batch first; once per input.
    #[arg(
        long,
        value_name = "NxCxHxW",
        required_unless_present = "weights",
        conflicts_with = "weights",
        value_parser = shape
    )]
    input: Vec<Shape>,
    /// Time the network of this file, which `lat extract` wrote, with its own weights, instead of a module: as `lat profile` times
    /// architectures, data alone and no program.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Images per batch of --weights.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// cpu or cuda:N [default: cuda:0 where there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// How runs are launched.
    #[arg(long, default_value = "eager", value_name = "eager|graph|both")]
    mode: Mode,
    /// Number format; the module is converted.
    #[arg(long, default_value = "fp32", value_name = "fp32|tf32|fp16|bf16")]
    precision: Precision,
    /// Lay inputs of four dimensions out channels last (NHWC).
    #[arg(long)]
    channels_last: bool,
    /// Empty the last-level cache before each timed run.
    #[arg(long)]
    cold: bool,
    /// Cap on the timed runs, in milliseconds.
    #[arg(long, default_value_t = 2000.0, value_name = "MS")]
    max_ms: f64,
    /// Also write the row as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Sizes of one input.
#[derive(Debug, Clone, PartialEq)]
struct Shape(Vec<i64>);

/// `1x3x224x224`.
fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Result<Vec<i64>, _> = text.split('x').map(str::parse).collect();
    match sizes {
        Ok(sizes) if sizes.iter().all(|size| *size > 0) => Ok(Shape(sizes)),
        _ => Err(format!("expected sizes above zero joined by x, as 1x3x224x224, found '{text}'")),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let inputs = args.file.iter().chain(&args.weights);
    Written::default().output("--json", args.json.as_deref()).inputs(inputs).check()?;
    let device = device(args.device.as_deref())?;
    let point = OperatingPoint {
        mode: args.mode,
        precision: args.precision,
        channels_last: args.channels_last,
        cold: args.cold,
    };
    let row = match (&args.weights, &args.file) {
        (Some(weights), _) => network(args, weights, device, point)?,
        (None, file) => module(args, file.as_deref().unwrap_or(Path::new("")), device, point)?,
    };
    say(text(&row, device, point))?;
    match &args.json {
        Some(path) => write_json(path, &row),
        None => Ok(()),
    }
}

/// The row of somebody's module.
fn module(
    args: &Args,
    file: &Path,
    device: DeviceSpec,
    point: OperatingPoint,
) -> anyhow::Result<Measurement> {
    if !file.is_file() {
        return Err(bad(format!(
            "expected a TorchScript module at {}, found no file; make one with torch.jit.trace(model, x).save(...)",
            file.display()
        )));
    }
    let shapes: Vec<Vec<i64>> = args.input.iter().map(|shape| shape.0.clone()).collect();
    time_module(file, &shapes, device, point, args.max_ms)
        .map_err(|error| bad(format!("{} cannot be timed on such inputs: {error}", file.display())))
}

/// The row of an extracted network.
fn network(
    args: &Args,
    file: &Path,
    device: DeviceSpec,
    point: OperatingPoint,
) -> anyhow::Result<Measurement> {
    let (ExtractedNet { label, net }, _) = ExtractedNet::load(file, torch_device(device))?;
    let defaults = ProfileOptions::new(label.skeleton, device);
    let options = ProfileOptions { point, batch: args.batch, max_ms: args.max_ms, ..defaults };
    Ok(time_net(net, &label.architecture, &options)?)
}

/// The row for people.
fn text(row: &Measurement, device: DeviceSpec, point: OperatingPoint) -> String {
    let mut lines = vec![
        format!(
            "{:.4} ms on {} ({point}), {} after {} runs; 95 % interval of the median {:.4} to {:.4} ms",
            row.latency_ms,
            device.name(),
            row.status.name(),
            row.n_runs,
            row.latency_ci_low_ms,
            row.latency_ci_high_ms
        ),
        format!(
            "quartiles {:.4} and {:.4} ms, fastest {:.4} ms, by the clock {:.4} ms",
            row.latency_q1_ms, row.latency_q3_ms, row.latency_min_ms, row.latency_raw_ms
        ),
    ];
    let percentile = |name: &str, ms: f64, fewest: u32| match ms.is_finite() {
        true => format!("{name} {ms:.4} ms"),
        false => format!("{name} needs {fewest} runs"),
    };
    let (p90, p99) = (row.latency_p90_ms, row.latency_p99_ms);
    lines.push(format!("{}, {}", percentile("p90", p90, 64), percentile("p99", p99, 662)));
    if let Some(bound) = row.launch_bound {
        lines.push(format!(
            "eager {:.4} ms, replayed as a graph {:.4} ms: {}",
            row.latency_eager_ms,
            row.latency_graph_ms,
            if bound { "launches take the time" } else { "the device takes the time" }
        ));
    }
    let state = [
        row.clock_mhz.map(|mhz| format!("{mhz:.0} MHz")),
        row.temperature_c.map(|c| format!("{c:.0} C")),
        row.power_w.map(|w| format!("{w:.0} W")),
        row.throttle_reasons.clone().filter(|r| !r.is_empty()).map(|r| format!("throttled: {r}")),
    ];
    let state: Vec<String> = state.into_iter().flatten().collect();
    if !state.is_empty() {
        lines.push(state.join(", "));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_sizes_joined_by_x() {
        assert_eq!(shape("1x3x224x224"), Ok(Shape(vec![1, 3, 224, 224])));
        assert_eq!(shape("7"), Ok(Shape(vec![7])));
        for wrong in ["", "1x", "axb", "1x0", "1x-3", "1,3"] {
            assert!(shape(wrong).unwrap_err().contains("as 1x3x224x224"), "{wrong}");
        }
    }
}
