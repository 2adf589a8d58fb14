//! `lat bench`: times the steps of searches.

mod case;

use std::path::PathBuf;

use lat::methods::Preset;
use serde::Serialize;

use super::failure::bad;
use super::output::{Screen, figure, say, table, write_json};
use super::skeleton::{SkeletonArgs, device};
use super::written::Written;
use case::{Case, Measured};

/// Time the step of search methods: milliseconds, images per second and memory.
///
/// A step is what a method does with one batch: the architecture's and the weights' updates, optimisers and reading the images included; no
/// predictor is needed. Each case runs in a process of its own, so that the memory is its own. Steps on shared processors vary by a fifth:
/// compare medians of runs that take turns.
///
/// Example: lat --threads 1 bench --method darts,pc-darts,gdas --channels 16 --layers 8 --batch 16
#[derive(clap::Args)]
pub(super) struct Args {
    /// Search spaces, comma separated.
    #[arg(long, value_delimiter = ',', default_value = "darts")]
    space: Vec<String>,
    /// Methods, comma separated; see `lat list methods`.
    #[arg(long, value_delimiter = ',', default_value = "darts,pc-darts,gdas")]
    method: Vec<String>,
    #[command(flatten)]
    skeleton: SkeletonArgs,
    /// Images per batch [default: the method's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Settings of the methods: those of the papers, or of small searches.
    #[arg(long, value_enum, default_value = "paper")]
    preset: Preset,
    /// cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Steps that are timed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// Steps before them that are not.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    warm_up: u32,
    /// Seed of weights and batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also write the table as JSON, with the time of each step.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure one case and print it as JSON: what each case's own process does.
    #[arg(long, hide = true)]
    one: bool,
}

/// The table as JSON.
#[derive(Serialize)]
struct Answer {
    device: String,
    device_name: String,
    threads: i32,
    rows: Vec<Measured>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    Written::default().output("--json", args.json.as_deref()).check()?;
    let device = device(args.device.as_deref())?;
    let cases = args.space.iter().flat_map(|space| args.method.iter().map(move |m| (space, m)));
    let cases: Vec<Case<'_>> = cases
        .map(|(space, method)| Case::new(args, space, method, device))
        .collect::<Result<_, _>>()?;
    if args.one {
        let [case] = &cases[..] else {
            return Err(bad("expected one space and one method with --one"));
        };
        return say(serde_json::to_string(&case.measure(screen)?)?);
    }
    let mut rows = Vec::new();
    for case in &cases {
        rows.push(case.in_its_own_process()?);
    }
    let header = [
        "space",
        "method",
        "batch",
        "ms per step",
        "quartiles",
        "images/s",
        "processor ms",
        "memory MiB",
    ];
    say(table(&header, rows.iter().map(cells)))?;
    let Some(path) = &args.json else { return Ok(()) };
    let (threads, device_name) = (tch::get_num_threads(), device.name());
    write_json(path, &Answer { device: device.to_string(), device_name, threads, rows })
}

fn cells(row: &Measured) -> Vec<String> {
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
    vec![
        row.space.clone(),
        row.method.clone(),
        row.batch.to_string(),
        figure(row.step_ms),
        format!("{} to {}", figure(row.quartiles_ms[0]), figure(row.quartiles_ms[1])),
        figure(row.images_per_s),
        optional(row.processor_ms),
        optional(row.peak_memory_mib),
    ]
}
