//! `rounds.json`: the samples of a run that chooses them itself, round by round, so that it can be resumed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, WholeFile};

/// The file's name in a run folder.
const ROUNDS_FILE: &str = "rounds.json";
const VERSION: u32 = 1;

/// One round of a run that chooses its samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Numbers of the samples that were drawn at random; predictions are judged on them.
    pub random: Vec<u64>,
    /// Numbers of the samples that were chosen because a predictor is least certain about them.
    pub chosen: Vec<u64>,
    /// The error of a predictor trained on all samples so far. None before the round is measured, or if there are too few
    /// samples.
    pub judgement: Option<Judgement>,
}

/// The error of predictions for samples that the fit has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Number of randomly drawn samples on which it was judged, over all rounds.
    pub n_judged: u64,
    /// Mean absolute percentage error (MAPE).
    pub mape: f64,
    /// Standard error of the MAPE, percent.
    pub standard_error: f64,
    /// The MAPE that a perfect predictor would show, percent, if enough samples were measured twice.
    pub noise_floor: Option<f64>,
}

/// All rounds of a run. The last one may be unfinished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    version: u32,
    /// The rounds, in the order measured.
    pub rounds: Vec<Round>,
}

/// The file's form: the rounds together with the CRC-32 of their compact JSON.
#[derive(Serialize, Deserialize)]
struct Checked {
    crc32: String,
    content: Rounds,
}

impl Round {
    /// Numbers of all samples of this round, in the order measured.
    pub fn samples(&self) -> Vec<u64> {
        self.random.iter().chain(&self.chosen).copied().collect()
    }
}

impl Default for Rounds {
    fn default() -> Self {
        Self { version: VERSION, rounds: Vec::new() }
    }
}

impl Rounds {
    /// The rounds of the run in this folder; None if it takes its samples in order, or has not begun.
    ///
    /// # Errors
    /// [`DataError::Content`] if the file is damaged or of a newer version, [`DataError::Io`] if it cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Self>, DataError> {
        let path = dir.join(ROUNDS_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let damaged = |found: String| {
            let found = format!(
                "a damaged one ({found}); restore it from a copy, or measure into another folder"
            );
            DataError::content(&path, "the rounds of a run with their own checksum", found)
        };
        let checked: Checked =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let actual = checksum(&checked.content, &path)?;
        if checked.crc32 != actual {
            return Err(damaged(format!("checksum {} for {actual}", checked.crc32)));
        }
        if checked.content.version > VERSION {
            let found = format!("version {}, which a newer lat wrote", checked.content.version);
            return Err(DataError::content(&path, format!("version {VERSION} at most"), found));
        }
        Ok(Some(checked.content))
    }

    /// Replaces the folder's file as a whole. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be written; the file is then unchanged.
    pub fn write(&self, dir: &Path) -> Result<(), DataError> {
        let path = dir.join(ROUNDS_FILE);
        let checked = Checked { crc32: checksum(self, &path)?, content: self.clone() };
        let json = serde_json::to_vec_pretty(&checked)
            .map_err(|error| DataError::io("write", &path)(error.into()))?;
        WholeFile::write(&path, &json)
    }

    /// Number of samples in all rounds.
    pub fn n_samples(&self) -> u64 {
        self.rounds.iter().map(|round| (round.random.len() + round.chosen.len()) as u64).sum()
    }

    /// Number of samples that were chosen.
    pub fn n_chosen(&self) -> u64 {
        self.rounds.iter().map(|round| round.chosen.len() as u64).sum()
    }
}

fn checksum(rounds: &Rounds, path: &Path) -> Result<String, DataError> {
    let json =
        serde_json::to_vec(rounds).map_err(|error| DataError::io("write", path)(error.into()))?;
    Ok(format!("{:08x}", crc32fast::hash(&json)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (tempfile::TempDir, Rounds) {
        let dir = tempfile::tempdir().unwrap();
        let judgement =
            Judgement { n_judged: 3, mape: 1.0 / 3.0, standard_error: 0.1, noise_floor: None };
        let first = Round { random: vec![0, 1, 2], chosen: vec![], judgement: Some(judgement) };
        let second = Round { random: vec![4], chosen: vec![9, 5], judgement: None };
        let rounds = Rounds { rounds: vec![first, second], ..Rounds::default() };
        rounds.write(dir.path()).unwrap();
        (dir, rounds)
    }

    #[test]
    fn rounds_are_read_as_written() {
        let (dir, rounds) = written();
        assert_eq!(Rounds::read(dir.path()).unwrap(), Some(rounds.clone()));
        assert_eq!((rounds.n_samples(), rounds.n_chosen()), (6, 2));
        assert_eq!(rounds.rounds[1].samples(), [4, 9, 5]);
        assert_eq!(Rounds::read(&dir.path().join("none")).unwrap(), None);
    }

    #[test]
    fn a_changed_number_and_half_a_file_are_named_as_damage() {
        let (dir, _) = written();
        let path = dir.path().join(ROUNDS_FILE);
        let text = fs::read_to_string(&path).unwrap();
        for bad in [text.replacen('9', "8", 1), text[..text.len() / 2].to_owned()] {
            fs::write(&path, bad).unwrap();
            let error = Rounds::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains("rounds.json") && error.contains("a damaged one"), "{error}");
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let (dir, rounds) = written();
        Rounds { version: 2, ..rounds }.write(dir.path()).unwrap();
        let error = Rounds::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("version 1 at most") && error.contains("version 2"), "{error}");
    }
}
