//! `lat predict`: prices architectures.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use lat_data::read_architectures;
use lat_predictor::Predictor;
use lat_space::Space;
use ndarray::Array2;
use serde::Serialize;

use super::failure::bad;
use super::output::write_json;
use super::runs;

/// Architectures priced at once: memory stays flat however long the file is.
const CHUNK: usize = 4096;

/// Predict the cost of architectures.
///
/// Prints one line per architecture: its cost, a tab, its text.
///
/// Example: lat predict --predictor runs/predictor-nasbench201-cpu-c16-l3-r8-b1-seed0-latency_ms.lat '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|'
#[derive(clap::Args)]
pub(super) struct Args {
    /// Predictor file [default: the newest].
    #[arg(long, value_name = "FILE")]
    predictor: Option<PathBuf>,
    /// Architecture texts.
    #[arg(value_name = "ARCHITECTURE")]
    architectures: Vec<String>,
    /// File of architectures, one per line (- for standard input), or a Parquet or CSV table of them.
    #[arg(long, value_name = "FILE", conflicts_with = "architectures")]
    file: Option<PathBuf>,
    /// Also write the predictions as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One prediction for machines.
#[derive(Serialize)]
struct Prediction {
    architecture: String,
    column: String,
    value: f64,
}

/// Prices chunks of architectures.
struct Pricer {
    predictor: Predictor,
    space: Box<dyn Space>,
    kept: Option<Vec<Prediction>>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => runs::any_predictor()?,
    };
    let predictor = Predictor::load(&path)?;
    let space = predictor.label().read_space()?;
    predictor.check(space.as_ref(), &predictor.label().column)?;
    let kept = args.json.is_some().then(Vec::new);
    let mut pricer = Pricer { predictor, space, kept };
    match &args.file {
        Some(file) if file.as_os_str() == "-" => pricer.price_lines(std::io::stdin().lock())?,
        Some(file) if file.extension().is_some_and(|e| e == "parquet" || e == "csv") => {
            let texts = read_architectures(file, pricer.space.as_ref())?;
            for (chunk, texts) in texts.chunks(CHUNK).enumerate() {
                pricer.price(texts, chunk * CHUNK)?;
            }
        }
        Some(file) => {
            let open = std::fs::File::open(file).with_context(|| {
                format!("expected a file of architectures at {}", file.display())
            })?;
            pricer.price_lines(BufReader::new(open))?;
        }
        None if args.architectures.is_empty() => {
            return Err(bad("expected architecture texts or --file, found neither"));
        }
        None => pricer.price(&args.architectures, 0)?,
    }
    match (&args.json, &pricer.kept) {
        (Some(path), Some(kept)) => write_json(path, kept),
        _ => Ok(()),
    }
}

impl Pricer {
    fn price_lines(&mut self, input: impl BufRead) -> anyhow::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut done = 0;
        for line in input.lines() {
            let line = line.context("reading architectures")?;
            if !line.trim().is_empty() {
                chunk.push(line.trim().to_owned());
            }
            if chunk.len() == CHUNK {
                self.price(&chunk, done)?;
                done += chunk.len();
                chunk.clear();
            }
        }
        if chunk.is_empty() { Ok(()) } else { self.price(&chunk, done) }
    }

    fn price(&mut self, texts: &[String], before: usize) -> anyhow::Result<()> {
        let n_gates = self.predictor.feature_map().n_gates;
        let mut gates = Vec::with_capacity(texts.len() * n_gates);
        for (i, text) in texts.iter().enumerate() {
            let architecture = self
                .space
                .parse(text)
                .with_context(|| format!("architecture {}", before + i + 1))?;
            gates.extend(architecture.gates(self.space.decisions()));
        }
        let gates = Array2::from_shape_vec((texts.len(), n_gates), gates)?;
        let values = self.predictor.price_gates(gates.view())?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let unit = &self.predictor.label().unit;
        for (text, value) in texts.iter().zip(&values) {
            writeln!(out, "{value:.6} {unit}\t{text}")?;
        }
        out.flush()?;
        if let Some(kept) = &mut self.kept {
            let column = &self.predictor.label().column;
            kept.extend(texts.iter().zip(&values).map(|(text, &value)| Prediction {
                architecture: text.clone(),
                column: column.clone(),
                value,
            }));
        }
        Ok(())
    }
}
