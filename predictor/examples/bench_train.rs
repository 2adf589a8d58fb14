//! The Rust side of `scripts/bench-train`: for each line on standard input it runs one epoch and prints the seconds to standard
//! output.

use std::io::{BufRead, Write, stdin, stdout};

use lat_predictor::bench::Epoch;

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    tch::set_num_threads(threads);
    let mut lines = stdin().lock().lines();
    if lines.next().is_none() {
        return;
    }
    let epoch = Epoch { n_rows: 80_000, n_features: 196, width: 128, batch: 256 };
    epoch.run(|seconds| {
        let is_written = writeln!(stdout(), "{seconds}").is_ok();
        is_written && lines.next().is_some()
    });
}
