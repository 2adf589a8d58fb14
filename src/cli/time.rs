//! `lat time`: times a user's own network, or an extracted one.

use std::path::{Path, PathBuf};

use lat::extracted::ExtractedNet;
use lat_data::{Mode, OperatingPoint, Precision};
use lat_profiler::{
    DeviceSpec, ModuleInput, NetTiming, ProfileOptions, not_a_module, time_module, time_net,
};

use super::failure::bad;
use super::output::{figure_within, say, write_json};
use super::skeleton::{device, torch_device};
use super::written::Written;

/// Time a TorchScript module of your own, or a network that `lat extract` wrote.
///
/// Timed as carefully as architectures in a profile: warm-up, then timed runs until the 95 % interval of the median is within 1 % or
/// the cap is reached, with CUDA events on a GPU and the reference network on a CPU. Make the file with torch.jit.trace(model,
/// x).save("model.pt"). The module may return anything. A module much shorter than the reference network is run several times per
/// timed run.
///
/// Time only modules that you trust: a module is a program that can do anything you can do, including writing files.
///
/// Example: lat time model.pt --input 1x3x224x224 --device cuda:0 --mode both
///
/// Example: lat time bert.pt --input '1x128:i64<30522' --input 1x128:i64=1
///
/// Example: lat time --weights net.safetensors --batch 8
#[derive(clap::Args)]
pub(super) struct Args {
    /// The module's file.
    #[arg(required_unless_present = "weights", conflicts_with = "weights")]
    file: Option<PathBuf>,
    /// An input; give one for each argument of forward. A shape, batch first, is a tensor of normal random numbers. Integers have a
    /// kind and an upper bound: '1x128:i64<30522' (in quotes, because < is special to the shell; without a bound: 0 and 1). All
    /// equal: 1x128:i64=1. Kinds: f16 bf16 f32 f64 u8 i16 i32 i64 bool. Several tensors as one input: [3x800x800,3x600x600].
    /// Numbers: int=5, float=0.5, bool=true. Python's None: None.
    #[arg(long, value_name = "NxCxHxW[:KIND][<BOUND]", conflicts_with = "weights")]
    input: Vec<ModuleInput>,
    /// Time the network in this file, written by `lat extract`, with its own weights, instead of a module. It is timed as `lat profile`
    /// times architectures; the file is data only and runs no code.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Images per batch of --weights.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// How runs are launched.
    #[arg(long, default_value = "eager", value_name = "eager|graph|both")]
    mode: Mode,
    /// Number format; the module's floating-point numbers are converted.
    #[arg(long, default_value = "fp32", value_name = "fp32|tf32|fp16|bf16")]
    precision: Precision,
    /// Use the channels-last layout (NHWC) for inputs of four dimensions.
    #[arg(long)]
    channels_last: bool,
    /// Empty the last-level cache before each timed run.
    #[arg(long)]
    cold: bool,
    /// Cap on the timed runs, in milliseconds of clock time, including the reference network's runs on a CPU. At least six runs are made
    /// unless they take five times as long.
    #[arg(long, default_value_t = 2000.0, value_name = "MS")]
    max_ms: f64,
    /// Also write the row as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
    let timing = match (&args.weights, &args.file) {
        (Some(weights), _) => network(args, weights, device, point)?,
        (None, file) => module(args, file.as_deref().unwrap_or(Path::new("")), device, point)?,
    };
    say(text(&timing, device, point))?;
    match &args.json {
        Some(path) => write_json(path, &timing),
        None => Ok(()),
    }
}

/// The measured row of a user's module.
fn module(
    args: &Args,
    file: &Path,
    device: DeviceSpec,
    point: OperatingPoint,
) -> anyhow::Result<NetTiming> {
    if !file.is_file() {
        return Err(bad(format!(
            "expected a TorchScript module at {}, found no file; make one with torch.jit.trace(model, x).save(...)",
            file.display()
        )));
    }
    if let Some(found) = not_a_module(file) {
        return Err(bad(format!("{} cannot be timed: {found}", file.display())));
    }
    if args.input.is_empty() {
        return Err(bad(format!(
            "expected an --input for each argument of the forward method of {}, found none; for images give --input 1x3x224x224, for token numbers --input '1x128:i64<30522'",
            file.display()
        )));
    }
    time_module(file, &args.input, device, point, args.max_ms)
        .map_err(|error| bad(format!("{} cannot be timed: {error}", file.display())))
}

/// The measured row of an extracted network.
fn network(
    args: &Args,
    file: &Path,
    device: DeviceSpec,
    point: OperatingPoint,
) -> anyhow::Result<NetTiming> {
    let (ExtractedNet { label, net }, _) = ExtractedNet::load(file, torch_device(device))?;
    let defaults = ProfileOptions::new(label.skeleton, device);
    let options = ProfileOptions { point, batch: args.batch, max_ms: args.max_ms, ..defaults };
    Ok(time_net(net, &label.architecture, &options)?)
}

/// The row as text.
fn text(timing: &NetTiming, device: DeviceSpec, point: OperatingPoint) -> String {
    let NetTiming { row, n_passes } = timing;
    let half_width = (row.latency_ci_high_ms - row.latency_ci_low_ms) / 2.0;
    let figure = |ms: f64| figure_within(ms, half_width);
    let each = if *n_passes > 1 { format!(" of {n_passes} passes") } else { String::new() };
    let mut lines = vec![
        format!(
            "{} ms on {} ({point}), {} after {} runs{each}; 95 % interval of the median {} to {} ms",
            figure(row.latency_ms),
            device.name(),
            row.status.name(),
            row.n_runs,
            figure(row.latency_ci_low_ms),
            figure(row.latency_ci_high_ms)
        ),
        format!(
            "quartiles {} and {} ms, fastest {} ms, by the clock {} ms",
            figure(row.latency_q1_ms),
            figure(row.latency_q3_ms),
            figure(row.latency_min_ms),
            figure(row.latency_raw_ms)
        ),
    ];
    let percentile = |name: &str, ms: f64, fewest: u32| match ms.is_finite() {
        true => format!("{name} {} ms", figure(ms)),
        false => format!("{name} needs {fewest} runs"),
    };
    let (p90, p99) = (row.latency_p90_ms, row.latency_p99_ms);
    lines.push(format!("{}, {}", percentile("p90", p90, 64), percentile("p99", p99, 662)));
    if let Some(bound) = row.launch_bound {
        lines.push(format!(
            "eager {} ms, replayed as a graph {} ms: {}",
            figure(row.latency_eager_ms),
            figure(row.latency_graph_ms),
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
