//! NAS-Bench-Macro's published accuracies of all its networks. Su and others, CVPR 2021, arXiv 2103.11922.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::{AccuracyColumn, AccuracyTable, BenchmarkEntry};
use crate::DataError;

/// A line of names and 6,561 of architecture, accuracy, parameters and multiply-adds; see `nasbench-macro-licence.txt` beside it.
const FILE: &[u8] = include_bytes!("../../assets/nasbench-macro.csv.gz");
const FILE_NAME: &str = "nasbench-macro.csv.gz";
const SPACE: &str = "nasbench-macro";

pub(super) const ENTRY: BenchmarkEntry = BenchmarkEntry {
    name: "NAS-Bench-Macro",
    space: SPACE,
    summary: "test accuracy of all 6,561 networks on CIFAR-10, percent, mean of three trainings",
    source: "NAS-Bench-Macro, X. Su and others, 2021, arXiv 2103.11922, Apache-2.0",
    load,
};

fn load() -> Result<AccuracyTable, DataError> {
    let column = AccuracyColumn { name: "cifar10_test_acc".into(), label: "CIFAR-10".into() };
    let mut table = AccuracyTable::new("NAS-Bench-Macro, three trainings", SPACE, vec![column]);
    for line in unpacked()?.lines().skip(1) {
        let wrong = || DataError::content(Path::new(FILE_NAME), "four values", line);
        let Line { architecture, accuracy, .. } = parse(line).ok_or_else(wrong)?;
        table.add(architecture, &[accuracy]);
    }
    Ok(table)
}

fn unpacked() -> Result<String, DataError> {
    let mut text = String::new();
    let read = GzDecoder::new(FILE).read_to_string(&mut text);
    read.map_err(DataError::io("unpack", Path::new(FILE_NAME)))?;
    Ok(text)
}

/// The benchmark's record of a network.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    /// Eight digits, which is also the space's text form.
    architecture: &'a str,
    /// Percent.
    accuracy: f64,
    /// Parameters, and multiply-adds of convolutions and the linear layer. Our counter is tested against them.
    counts: (u64, u64),
}

fn parse(line: &str) -> Option<Line<'_>> {
    let mut cells = line.split(',');
    let architecture = cells.next().filter(|text| text.len() == 8)?;
    let accuracy = cells.next()?.parse().ok()?;
    let counts = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
    cells.next().is_none().then_some(Line { architecture, accuracy, counts })
}

#[cfg(test)]
mod tests {
    use lat_space::{NasBenchMacro, SearchSpace, Space, count, find_skeleton};

    use super::*;

    #[test]
    fn networks_have_the_accuracies_that_the_benchmark_gives_them() {
        let table = load().unwrap();
        let golden = [
            ("00000000", 45.3633),
            ("02012100", 89.1967),
            ("11111111", 91.93),
            ("11111221", 92.3033),
            ("22222222", 92.9533),
        ];
        for (text, accuracy) in golden {
            assert_eq!(table.accuracies(text), Some(&[accuracy][..]), "{text}");
        }
        // Two networks share the best accuracy.
        let best = [93.1267];
        assert_eq!(table.row(table.best(0).unwrap()).1, best);
        assert!(["22212202", "22212220"].iter().all(|a| table.accuracies(a) == Some(&best[..])));
        // The sum over the table from which the asset was made.
        let sum: f64 = table.rows().map(|(_, values)| values[0]).sum();
        assert!((sum - 592_107.927_2).abs() < 1e-4, "{sum}");
    }

    #[test]
    fn every_network_counts_what_the_benchmark_counts() {
        let space = NasBenchMacro::new();
        let graph = space.graph(&find_skeleton(&space, "cifar").unwrap());
        let text = unpacked().unwrap();
        let mut n = 0;
        for line in text.lines().skip(1).map(|line| parse(line).unwrap()) {
            let counted = count(&graph.derive(&space.parse(line.architecture).unwrap()));
            assert_eq!((counted.params, counted.conv_linear), line.counts, "{}", line.architecture);
            n += 1;
        }
        assert_eq!(n, space.size());
    }

    #[test]
    fn a_damaged_line_is_none() {
        assert!(parse("22212220,93.1267,1985514,85164544").is_some());
        for line in ["2221222,93,1,2", "22212220,93,1", "22212220,x,1,2", "22212220,93,1,2,3"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
