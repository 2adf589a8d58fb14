//! `lat time`: times somebody's own network.

use std::path::PathBuf;

use lat_data::Measurement;
use lat_data::{Mode, OperatingPoint, Precision};
use lat_profiler::{DeviceSpec, time_module};

use super::failure::bad;
use super::output::{say, write_json};
use super::skeleton::device;
use super::written::Written;

/// Time a TorchScript module of your own.
///
/// With the care that architectures get: warm-up, timed runs until the 95 % interval of the median is within 1 % or the cap
/// comes, CUDA events on a GPU, the reference network on a CPU. Make the file with torch.jit.trace(model, x).save("model.pt").
/// A module is a program and can do what you can, write files too: time only modules that you trust.
///
/// Example: lat time model.pt --input 1x3x224x224 --device cuda:0 --mode both
#[derive(clap::Args)]
pub(super) struct Args {
    /// The module's file.
    file: PathBuf,
    /// Shape of an input, batch first; once per input.
    #[arg(long, value_name = "NxCxHxW", required = true, value_parser = shape)]
    input: Vec<Shape>,
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
    Written::default().output("--json", args.json.as_deref()).inputs([&args.file]).check()?;
    let device = device(args.device.as_deref())?;
    if !args.file.is_file() {
        return Err(bad(format!(
            "expected a TorchScript module at {}, found no file; make one with torch.jit.trace(model, x).save(...)",
            args.file.display()
        )));
    }
    let point = OperatingPoint {
        mode: args.mode,
        precision: args.precision,
        channels_last: args.channels_last,
        cold: args.cold,
    };
    let shapes: Vec<Vec<i64>> = args.input.iter().map(|shape| shape.0.clone()).collect();
    let row = time_module(&args.file, &shapes, device, point, args.max_ms).map_err(|error| {
        bad(format!("{} cannot be timed on such inputs: {error}", args.file.display()))
    })?;
    say(text(&row, device, point))?;
    match &args.json {
        Some(path) => write_json(path, &row),
        None => Ok(()),
    }
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
