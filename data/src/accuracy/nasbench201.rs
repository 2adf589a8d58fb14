//! NAS-Bench-201's published accuracies of all its cells. Dong, Yang, ICLR 2020, arXiv 2001.00326.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use lat_space::{Architecture, NasBench201, Space};

use super::{AccuracyColumn, AccuracyTable, BenchmarkEntry};
use crate::DataError;

/// A line of names and 15,625 lines of six operations and three accuracies; see `nasbench201-accuracy-licence.txt` beside it.
const FILE: &[u8] = include_bytes!("../../assets/nasbench201-accuracy.csv.gz");
const FILE_NAME: &str = "nasbench201-accuracy.csv.gz";
const SPACE: &str = "nasbench201";
/// Names of the columns in the file, and for people.
const COLUMNS: [(&str, &str); 3] = [
    ("cifar10_test_acc", "CIFAR-10"),
    ("cifar100_test_acc", "CIFAR-100"),
    ("imagenet16_120_test_acc", "ImageNet16-120"),
];

pub(super) const ENTRY: BenchmarkEntry = BenchmarkEntry {
    name: "NAS-Bench-201",
    space: SPACE,
    summary: "test accuracy of all 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120, percent, 200 epochs, mean over the published seeds",
    source: "NAS-Bench-201 and NATS-Bench, X. Dong and others, 2020 and 2021, arXiv 2001.00326 and 2009.00437, MIT",
    load,
};

fn load() -> Result<AccuracyTable, DataError> {
    let path = Path::new(FILE_NAME);
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).map_err(DataError::io("unpack", path))?;
    let column = |(name, label): &(&str, &str)| AccuracyColumn {
        name: (*name).to_owned(),
        label: (*label).to_owned(),
    };
    let columns = COLUMNS.iter().map(column).collect();
    let mut table = AccuracyTable::new("NAS-Bench-201, 200 epochs", SPACE, columns);
    let space = NasBench201::new();
    for line in text.lines().skip(1) {
        let wrong = || DataError::content(path, "six operations and three accuracies", line);
        let (architecture, accuracies) = parse(&space, line).ok_or_else(wrong)?;
        table.add(&space.format(&architecture), &accuracies);
    }
    Ok(table)
}

/// Reads one line. The operations are in the order of the architecture text, which is that of the space's decisions. (The
/// benchmark and the space number architectures differently.)
fn parse(space: &NasBench201, line: &str) -> Option<(Architecture, [f64; COLUMNS.len()])> {
    let mut cells = line.split(',');
    let digit = |c: char| c.to_digit(10).map(|digit| digit as usize);
    let operations: Option<Vec<usize>> = cells.next()?.chars().map(digit).collect();
    let architecture = Architecture::new(SPACE, operations?);
    space.check(&architecture).ok()?;
    let mut accuracies = [0.0; COLUMNS.len()];
    for accuracy in &mut accuracies {
        *accuracy = cells.next()?.parse().ok()?;
    }
    cells.next().is_none().then_some((architecture, accuracies))
}

#[cfg(test)]
mod tests {
    use lat_space::SearchSpace;

    use super::*;

    /// Texts of the benchmark's cells number 0, 1, 431, 5348, 7812 and 15624, and the accuracies that its API gives.
    const GOLDEN: [(&str, [f64; 3]); 6] = [
        (
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
            [85.8633, 52.9133, 26.6333],
        ),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
            [93.66, 70.2933, 44.0333],
        ),
        (
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
            [91.9667, 67.6267, 39.1222],
        ),
        (
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
            [91.21, 64.92, 36.5333],
        ),
        (
            "|skip_connect~0|+|skip_connect~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
            [79.5833, 46.7133, 26.6],
        ),
        (
            "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
            [86.8233, 55.22, 21.4111],
        ),
    ];

    #[test]
    fn cells_have_the_accuracies_that_the_benchmark_gives_them() {
        let table = load().unwrap();
        for (text, accuracies) in GOLDEN {
            assert_eq!(table.accuracies(text), Some(&accuracies[..]), "{text}");
        }
        assert_eq!(table.row(0).0, GOLDEN[0].0, "the official order");
        assert_eq!(table.row(15_624).0, GOLDEN[5].0);
    }

    #[test]
    fn every_cell_is_there_once_and_the_whole_is_what_was_published() {
        let (table, space) = (load().unwrap(), NasBench201::new());
        assert_eq!(table.len(), 15_625);
        for index in 0..space.size() {
            let architecture = space.at(index);
            let own = table.of(&space, &architecture).unwrap();
            assert_eq!(own.columns.len(), 3, "{}", space.format(&architecture));
        }
        // Sums over the table from which the asset was made.
        let sums = [1_360_358.293_8, 959_461.012_9, 524_787.387_5];
        for (column, expected) in sums.into_iter().enumerate() {
            let sum: f64 = table.rows().map(|(_, values)| values[column]).sum();
            assert!((sum - expected).abs() < 1e-4, "{column}: {sum}");
        }
    }

    #[test]
    fn the_best_cells_are_those_that_the_papers_name() {
        let table = load().unwrap();
        let best: Vec<f64> = (0..3).map(|c| table.row(table.best(c).unwrap()).1[c]).collect();
        assert_eq!(best, [94.3733, 73.5133, 47.3111]);
        let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|";
        assert_eq!(table.row(table.best(0).unwrap()).0, text);
    }

    #[test]
    fn a_damaged_line_is_none() {
        let space = NasBench201::new();
        assert!(parse(&space, "421211,85.8633,52.9133,26.6333").is_some());
        for line in ["42121,1,2,3", "521211,1,2,3", "421211,1,2", "421211,1,2,x", "421211,1,2,3,4"]
        {
            assert!(parse(&space, line).is_none(), "{line}");
        }
    }
}
