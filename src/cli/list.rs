//! `lat list`: the available spaces, methods, devices and more.

use lat::methods::{METHODS, MethodEntry};
use lat_data::{BENCHMARKS, DATASETS};
use lat_predictor::REGRESSORS;
use lat_profiler::{PROBES, available, enable_cuda};
use lat_space::{SPACES, VARIANTS};

use super::list_columns;
use super::output::{say, table};

/// List spaces, methods, devices, datasets, benchmarks (published accuracies), probes, regressors, or the columns of a table.
///
/// Example: lat list methods
///
/// Example: lat list columns measurements.csv --where device=titanx
#[derive(clap::Args)]
pub(super) struct Args {
    /// Kind of thing to list.
    what: What,
    #[command(flatten)]
    columns: list_columns::ColumnsArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Spaces,
    Methods,
    Devices,
    Datasets,
    Benchmarks,
    Probes,
    Regressors,
    Columns,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let texts = |row: &[&str]| row.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
    if let What::Columns = args.what {
        return list_columns::run(&args.columns);
    }
    args.columns.check_unused()?;
    say(match args.what {
        What::Columns => unreachable!("listed above"),
        What::Spaces => {
            let spaces = SPACES.iter().chain(VARIANTS).map(|build| build());
            table(
                &["name", "what", "paper"],
                spaces.map(|s| texts(&[s.id(), s.summary(), s.paper()])),
            )
        }
        What::Methods => {
            let spaces: Vec<_> = SPACES.iter().map(|build| build()).collect();
            let searched = |method: &MethodEntry| {
                let covered = spaces.iter().filter(|space| method.covers(space.as_ref()));
                covered.map(|space| space.id()).collect::<Vec<_>>().join(" ")
            };
            let rows = METHODS.iter().map(|m| texts(&[m.name, m.summary, &searched(m), m.paper]));
            table(&["name", "what", "spaces", "paper"], rows)
        }
        What::Datasets => {
            let rows = DATASETS.iter().map(|d| texts(&[d.name, d.summary, d.source]));
            table(&["name", "what", "source"], rows)
        }
        What::Benchmarks => {
            let rows = BENCHMARKS.iter().map(|b| texts(&[b.name, b.space, b.summary, b.source]));
            table(&["name", "space", "what", "source, licence"], rows)
        }
        What::Probes => {
            let row = |p: &lat_profiler::ProbeEntry| {
                vec![p.quantity.name.to_owned(), p.quantity.column(), p.summary.to_owned()]
            };
            table(&["name", "column", "what"], PROBES.iter().map(row))
        }
        What::Regressors => {
            let loss = |d| if d { "yes" } else { "no, for comparison" };
            let rows =
                REGRESSORS.iter().map(|r| texts(&[r.name, r.summary, loss(r.differentiable)]));
            table(&["name", "what", "can steer a search"], rows)
        }
        What::Devices => {
            let devices = available().into_iter().map(|d| vec![d.spec.to_string(), d.name]);
            let reason = enable_cuda().reason().map(|r| format!("\nno CUDA device: {r}"));
            table(&["name", "model"], devices) + &reason.unwrap_or_default()
        }
    })
}
