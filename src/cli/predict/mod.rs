//! `lat predict`: predicts the cost of architectures.

mod answer;
mod blocks;
mod json_array;
mod pricer;
mod turns;

use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::ProgressBar;
use lat_data::read_architectures;
use lat_predictor::Predictor;
use lat_space::{Space, find_space};

use super::accuracy::AccuracyArgs;
use super::failure::bad;
use super::newest;
use super::op_costs::{self, OpCosts};
use super::op_table::OpTable;
use super::output::Screen;
use super::written::Written;
use blocks::{Block, Blocks};
use json_array::JsonArray;
use pricer::{By, Pricer};
use turns::Turns;

/// Predict the cost of architectures.
///
/// Prints one line per architecture: its cost, a tab, its text. With --sd two columns come in between: the standard deviation of a
/// measurement around the cost, and `off-data` if the architecture is unlike all that the predictor was trained on, else `on-data`.
/// If accuracies of the space are published (`lat list benchmarks`, or --accuracy-table), they follow the text, a tab before each,
/// in the table's order and in percent; `-` means that the table lacks the architecture. A file may be of any length: it is read,
/// priced by --threads workers and written piece by piece, in the order of the file.
///
/// Example: lat predict --predictor runs/predictor-nasbench201-cpu-c16-l3-r8-b1-seed0-latency_ms.lat '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|'
///
/// With --per-op costs are sums from a latency table instead: one that you measured, or a published one of the space's blocks. Such
/// a table gives no deviations.
///
/// Example: lat predict --sd --file architectures.txt
///
/// Example: lat predict --space proxyless --per-op mobile_trim.yaml --file architectures.txt
#[derive(clap::Args)]
pub(super) struct Args {
    /// Predictor file [default: the newest].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Latency table to add up instead of using a predictor: the folder of `lat profile --per-op`, or a published table of the
    /// space's blocks (YAML, JSON or CSV), as files or a folder; may be repeated.
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = ["predictor", "sd"])]
    per_op: Vec<PathBuf>,
    /// Search space of --per-op [default: the space of a table that `lat profile --per-op` measured].
    #[arg(long, value_name = "NAME", requires = "per_op")]
    space: Option<String>,
    /// Architecture texts.
    #[arg(value_name = "ARCHITECTURE")]
    architectures: Vec<String>,
    /// File of architectures, one per line (- for standard input), or a Parquet or CSV table of them.
    #[arg(long, value_name = "FILE", conflicts_with = "architectures")]
    file: Option<PathBuf>,
    /// Also print standard deviations, and whether an architecture is unlike the training data.
    #[arg(long)]
    sd: bool,
    #[command(flatten)]
    accuracies: AccuracyArgs,
    /// Also write the predictions as JSON: value, sd, low and high (90 % interval), off_data, published_accuracy.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    if args.per_op.is_empty() { by_predictor(args, screen) } else { by_table(args, screen) }
}

fn by_predictor(args: &Args, screen: Screen) -> anyhow::Result<()> {
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => newest::any_predictor()?,
    };
    check_written(args, vec![path.clone()])?;
    let predictor = Predictor::load(&path)?;
    let space = predictor.label().read_space()?;
    predictor.check(space.as_ref(), &predictor.label().column)?;
    if args.sd && !predictor.has_sd() {
        return Err(bad(format!(
            "expected --sd with a predictor that tells deviations, found {} of regressor {}; train again with --regressor structured",
            path.display(),
            predictor.label().regressor
        )));
    }
    let by = || By::Predictor(Box::new(predictor.to_device(tch::Device::Cpu)));
    price(args, space.as_ref(), &by, screen)
}

fn by_table(args: &Args, screen: Screen) -> anyhow::Result<()> {
    check_written(args, op_costs::files(&args.per_op))?;
    let space = match (&args.space, &args.per_op[..]) {
        (Some(id), _) => find_space(id)?,
        (None, [dir]) if op_costs::is_own(dir) => {
            find_space(&OpTable::read_any(dir)?.header.space)?
        }
        (None, _) => {
            return Err(bad(
                "expected --space with published latency tables, which do not name theirs; found none",
            ));
        }
    };
    let costs = OpCosts::read(&args.per_op, space.as_ref())?;
    let table = costs.pricer(space.as_ref());
    price(args, space.as_ref(), &|| By::Table(&table), screen)
}

/// Refuses a result file that would overwrite an input.
fn check_written(args: &Args, prices: Vec<PathBuf>) -> anyhow::Result<()> {
    let inputs = [args.file.as_ref(), args.accuracies.file.as_ref()];
    let inputs = inputs.into_iter().flatten().cloned().chain(prices);
    Written::default().output("--json", args.json.as_deref()).inputs(inputs).check()
}

/// Prices the requested architectures with several workers, each with its own pricer.
fn price<'a>(
    args: &Args,
    space: &'a dyn Space,
    by: &dyn Fn() -> By<'a>,
    screen: Screen,
) -> anyhow::Result<()> {
    let accuracies = args.accuracies.table(space)?;
    let bar = bar(args, screen);
    let blocks = blocks(args, space, &bar)?;
    let json = args.json.as_deref().map(JsonArray::create).transpose()?;
    let workers = tch::get_num_threads().clamp(1, 64);
    let pricers = (0..workers).map(|_| Pricer {
        by: by(),
        space,
        accuracies: accuracies.as_ref(),
        sd: args.sd,
        json: args.json.is_some(),
    });
    let done = price_all(blocks, pricers.collect(), json);
    bar.finish_and_clear();
    done
}

/// A progress bar: in bytes for a file of texts, else in architectures priced. Hidden if the answers appear on a terminal, since
/// they show the progress.
fn bar(args: &Args, screen: Screen) -> ProgressBar {
    match &args.file {
        _ if std::io::stdout().is_terminal() => ProgressBar::hidden(),
        Some(file) if !is_table(file) && file.is_file() => screen.bytes(file),
        Some(_) => screen.count("architectures priced"),
        None => ProgressBar::hidden(),
    }
}

/// The requested architectures, in blocks.
fn blocks<'a>(args: &Args, space: &'a dyn Space, bar: &ProgressBar) -> anyhow::Result<Blocks<'a>> {
    Ok(match &args.file {
        Some(file) if file.as_os_str() == "-" => {
            let bar = bar.clone();
            Blocks::new(BufReader::new(std::io::stdin())).counted_by(move |n| bar.inc(n as u64))
        }
        Some(file) if is_table(file) => {
            let bar = bar.clone();
            Blocks::of_texts(read_architectures(file, space)?.map(|text| Ok(text?)))
                .counted_by(move |n| bar.inc(n as u64))
        }
        Some(file) => {
            let open = std::fs::File::open(file).with_context(|| {
                format!("expected a file of architectures at {}", file.display())
            })?;
            Blocks::new(BufReader::with_capacity(1 << 18, bar.wrap_read(open)))
        }
        None if args.architectures.is_empty() => {
            return Err(bad("expected architecture texts or --file, found neither"));
        }
        // One answer per argument, so that the answers can be matched to arguments by their order.
        None => {
            let empty = args.architectures.iter().position(|text| text.trim().is_empty());
            if let Some(number) = empty.map(|i| i + 1) {
                return Err(bad(format!(
                    "expected an architecture text, found argument {number} empty"
                )));
            }
            if let Some(file) = args.architectures.iter().find(|text| Path::new(text).is_file()) {
                return Err(bad(format!(
                    "expected an architecture text, found the file {file}; read it with --file {file}"
                )));
            }
            Blocks::of_texts(args.architectures.clone().into_iter().map(Ok))
        }
    })
}

fn is_table(file: &Path) -> bool {
    let is = |name: &str| file.extension().is_some_and(|e| e.eq_ignore_ascii_case(name));
    let is_packed = is("gz") && file.file_stem().is_some_and(|stem| is_table(Path::new(stem)));
    is("parquet") || is("csv") || is("tsv") || is_packed
}

/// Prices block after block, several at once, and writes the answers in order.
fn price_all(
    blocks: Blocks<'_>,
    pricers: Vec<Pricer<'_>>,
    json: Option<JsonArray>,
) -> anyhow::Result<()> {
    keep_freed_memory();
    let turns = Turns::new(blocks, json);
    std::thread::scope(|scope| {
        for pricer in pricers {
            let turns = &turns;
            scope.spawn(move || {
                // One thread per worker: libtorch's own threads would only wait for each other. The setting applies to the calling
                // thread.
                tch::set_num_threads(1);
                turns.work(|block: &Block| pricer.price(block));
            });
        }
    });
    turns.finish()
}

/// Makes glibc keep a block's memory for the next block. By default it returns pieces of 128 KiB and more to the kernel, which then
/// zeroes them again page by page for every block; that took a fifth of the time. But glibc raises this limit to the size of the
/// largest piece that was ever freed, and the limit from which it shrinks the heap to twice that (mallopt(3), `M_MMAP_THRESHOLD`).
fn keep_freed_memory() {
    const MORE_THAN_A_TENSOR: usize = 8 << 20;
    // Never touched, so it takes no physical memory.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(MORE_THAN_A_TENSOR)));
}
