//! The command line: the only place that reads flags and prints.
//!
//! Progress goes to standard error, results to standard output. Exit codes: 0 done, 1 failed while working, 2 bad input or
//! usage, 130 interrupted.

#![allow(clippy::doc_markdown, reason = "doc comments of flags are their help texts")]

mod accuracy;
mod architectures;
mod bench;
mod block_export;
mod budget;
mod complete;
mod count;
mod datasets;
mod diff;
mod doctor;
mod error_budget;
mod evaluate;
mod export;
mod extract;
mod failure;
mod fitting;
mod front;
mod groups;
mod list;
mod list_columns;
mod merge;
mod newest;
mod op_costs;
mod op_table;
mod output;
mod place;
mod predict;
mod profile;
mod rank;
mod recalibration;
mod records;
mod report;
mod results;
mod runs;
mod search;
mod search_folder;
mod signals;
mod skeleton;
mod standing;
mod table_args;
mod texts;
mod time;
mod train;
mod transfer;
mod written;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use signals::STOP;

const ABOUT: &str = "Measures how fast neural architectures run on your hardware, learns to predict it, and searches for architectures \
                     that are both accurate and fast.";
/// Largest line width of the help, in characters.
const HELP_WIDTH: usize = 110;
const EXAMPLES: &str = "Examples:
  lat profile --device cpu --samples 300     measure 300 architectures on this machine's processor
  lat train                                  learn to predict their latency
  lat search --lambda 0.1                    find an architecture that is accurate and fast
  lat report                                 all that is in ./runs as pages
  lat front --space nasbench201              without a search: the space's true front, by published accuracies
  lat count --arch 22212220                  without measuring: parameters, multiply-adds, memory
  lat evaluate --arch runs/search-*/search.json   train it from scratch and test it";

#[derive(Parser)]
#[command(name = "lat", version, about = ABOUT, after_help = EXAMPLES, max_term_width = HELP_WIDTH)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// No progress on standard error.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print more on standard error; give it twice for everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// CPU threads that libtorch may use [default: OMP_NUM_THREADS if set, else all cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1024))]
    threads: Option<i32>,
}

/// The commands, in the groups that `lat --help` shows.
#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Measure(Measure),
    #[command(flatten)]
    Learn(Learn),
    #[command(flatten)]
    Search(Searching),
    #[command(flatten)]
    Look(Look),
    #[command(flatten)]
    Other(Other),
}

#[derive(Subcommand)]
enum Measure {
    Profile(profile::Args),
    Merge(merge::Args),
    Time(time::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
}

#[derive(Subcommand)]
enum Learn {
    Train(train::Args),
    Predict(predict::Args),
    Export(export::Args),
}

#[derive(Subcommand)]
enum Searching {
    Search(search::Args),
    Front(front::Args),
    Evaluate(evaluate::Args),
    Extract(extract::Args),
    Rank(rank::Args),
}

#[derive(Subcommand)]
enum Look {
    Report(report::Args),
    Diff(diff::Args),
    Count(count::Args),
    List(list::Args),
}

#[derive(Subcommand)]
enum Other {
    Completions(complete::CompletionArgs),
    Man(complete::ManArgs),
}

impl Command {
    /// Whether the command works for hours and, if asked to stop, keeps the work done so far.
    fn goes_on(&self) -> bool {
        matches!(
            self,
            Self::Measure(Measure::Profile(_))
                | Self::Search(Searching::Search(_) | Searching::Evaluate(_))
        )
    }

    fn run(&self, screen: output::Screen) -> anyhow::Result<()> {
        match self {
            Self::Measure(Measure::Profile(args)) => profile::run(args, screen),
            Self::Measure(Measure::Merge(args)) => merge::run(args),
            Self::Measure(Measure::Time(args)) => time::run(args),
            Self::Measure(Measure::Bench(args)) => bench::run(args, screen),
            Self::Measure(Measure::Doctor(args)) => doctor::run(args, screen),
            Self::Learn(Learn::Train(args)) => train::run(args, screen),
            Self::Learn(Learn::Predict(args)) => predict::run(args, screen),
            Self::Learn(Learn::Export(args)) => export::run(args),
            Self::Search(Searching::Search(args)) => search::run(args, screen),
            Self::Search(Searching::Front(args)) => front::run(args),
            Self::Search(Searching::Evaluate(args)) => evaluate::run(args, screen),
            Self::Search(Searching::Extract(args)) => extract::run(args, screen),
            Self::Search(Searching::Rank(args)) => rank::run(args, screen),
            Self::Look(Look::Report(args)) => report::run(args, screen),
            Self::Look(Look::Diff(args)) => diff::run(args),
            Self::Look(Look::Count(args)) => count::run(args),
            Self::Look(Look::List(args)) => list::run(args),
            Self::Other(Other::Completions(args)) => complete::completions(args),
            Self::Other(Other::Man(args)) => complete::man(args),
        }
    }
}

/// Runs the command line and gives the exit code.
pub(crate) fn main() -> ExitCode {
    let mut matches = groups::command().get_matches();
    let cli = Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
    let level = ["warn", "info", "debug"][usize::from(cli.verbose.min(2))];
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format_timestamp(None)
        .init();
    let Some(command) = cli.command else { return standing::welcome() };
    signals::install(!command.goes_on());
    // Must come before the first call into libtorch, which looks for its CUDA half only once.
    lat_profiler::enable_cuda();
    tch::set_num_threads(cli.threads.or_else(omp_threads).unwrap_or_else(all_cores));
    failure::exit_code(command.run(output::Screen { quiet: cli.quiet }))
}

/// The number in `OMP_NUM_THREADS`, which libtorch and containers also follow. In a list, one number per nesting level, the first
/// counts.
fn omp_threads() -> Option<i32> {
    let value = std::env::var("OMP_NUM_THREADS").ok()?;
    let first = value.split(',').next()?.trim().parse().ok()?;
    (1..=1024).contains(&first).then_some(first)
}

fn all_cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}
