//! `lat list`: the available spaces, methods, devices and more.

use clap::ValueEnum;
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
    /// Kind of thing to list; without it, the kinds there are.
    what: Option<What>,
    #[command(flatten)]
    columns: list_columns::ColumnsArgs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Search spaces.
    Spaces,
    /// Search methods, and the spaces that each searches.
    Methods,
    /// Devices of this machine.
    Devices,
    /// Data sets that networks can be trained on.
    Datasets,
    /// Published accuracies that come with the program.
    Benchmarks,
    /// Quantities that `lat profile` can measure beside the latency.
    Probes,
    /// What `lat train` can fit.
    Regressors,
    /// Columns of a table of your own, and how `lat train` would read them: lat list columns FILE.
    Columns,
}

/// The kinds of things, each with the command that lists it.
fn kinds() -> String {
    let row = |what: &What| {
        let value = what.to_possible_value()?;
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        Some(vec![format!("lat list {}", value.get_name()), help])
    };
    table(&["command", "what it lists"], What::value_variants().iter().filter_map(row))
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let texts = |row: &[&str]| row.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
    let Some(what) = args.what else {
        args.columns.check_unused()?;
        return say(kinds());
    };
    if let What::Columns = what {
        return list_columns::run(&args.columns);
    }
    args.columns.check_unused()?;
    say(match what {
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
