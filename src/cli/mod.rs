//! The command line: the only place that reads flags and prints.
//!
//! Progress goes to standard error, results to standard output. Exit codes: 0 done, 1 failed while working, 2 bad input or
//! usage, 130 interrupted.

#![allow(clippy::doc_markdown, reason = "doc comments of flags are their help texts")]

mod accuracy;
mod architectures;
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
mod front;
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
mod runs;
mod search;
mod search_folder;
mod signals;
mod skeleton;
mod table_args;
mod texts;
mod time;
mod train;
mod transfer;
mod written;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use signals::STOP;

const ABOUT: &str = "Measures how fast neural architectures run on your hardware, learns to predict it, and searches for architectures \
                     that are both accurate and fast.";
const EXAMPLES: &str = "Examples:
  lat profile --device cpu --samples 300     measure 300 architectures on this machine's processor
  lat train                                  learn to predict their latency
  lat search --lambda 0.1                    find an architecture that is accurate and fast
  lat front --space nasbench201              without a search: the space's true front, by published accuracies
  lat count --arch 22212220                  without measuring: parameters, multiply-adds, memory
  lat evaluate --arch runs/search-*/search.json   train it from scratch and test it";

#[derive(Parser)]
#[command(name = "lat", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// No progress on standard error.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// More on standard error; twice for everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// CPU threads that libtorch may use [default: what OMP_NUM_THREADS says, else all cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1024))]
    threads: Option<i32>,
}

#[derive(Subcommand)]
enum Command {
    Profile(profile::Args),
    Merge(merge::Args),
    Train(train::Args),
    Predict(predict::Args),
    Export(export::Args),
    Search(search::Args),
    Front(front::Args),
    Count(count::Args),
    Evaluate(evaluate::Args),
    Extract(extract::Args),
    Rank(rank::Args),
    Doctor(doctor::Args),
    Time(time::Args),
    Diff(diff::Args),
    Report(report::Args),
    List(list::Args),
    Completions(complete::CompletionArgs),
    Man(complete::ManArgs),
}

impl Command {
    /// Whether the command works for hours and keeps what it has done where it is asked to stop.
    fn goes_on(&self) -> bool {
        matches!(self, Self::Profile(_) | Self::Search(_) | Self::Evaluate(_))
    }
}

/// Runs the command line and gives the exit code.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = ["warn", "info", "debug"][usize::from(cli.verbose.min(2))];
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format_timestamp(None)
        .init();
    signals::install(!cli.command.goes_on());
    // Before the first call into libtorch, which looks for its CUDA side once and for all.
    lat_profiler::enable_cuda();
    tch::set_num_threads(cli.threads.or_else(omp_threads).unwrap_or_else(all_cores));
    let screen = output::Screen { quiet: cli.quiet };
    let done = match cli.command {
        Command::Profile(args) => profile::run(&args, screen),
        Command::Merge(args) => merge::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Search(args) => search::run(&args, screen),
        Command::Front(args) => front::run(&args),
        Command::Count(args) => count::run(&args),
        Command::Evaluate(args) => evaluate::run(&args, screen),
        Command::Extract(args) => extract::run(&args),
        Command::Rank(args) => rank::run(&args, screen),
        Command::Doctor(args) => doctor::run(&args),
        Command::Time(args) => time::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Report(args) => report::run(&args),
        Command::List(args) => list::run(&args),
        Command::Completions(args) => complete::completions(&args),
        Command::Man(args) => complete::man(&args),
    };
    failure::exit_code(done)
}

/// What the variable says by which libtorch itself and containers go. Of a list, one number per level, the first counts.
fn omp_threads() -> Option<i32> {
    let value = std::env::var("OMP_NUM_THREADS").ok()?;
    let first = value.split(',').next()?.trim().parse().ok()?;
    (1..=1024).contains(&first).then_some(first)
}

fn all_cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}
