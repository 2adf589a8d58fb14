//! A run's header and rows, as they are stored in files.

use std::collections::HashMap;

use lat_space::Skeleton;
use serde::{Deserialize, Serialize};

use crate::{OperatingPoint, Shard, nullable};

/// The reason why an architecture was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It was drawn for the data set.
    Sample,
    /// It is one of a few fixed ones that are measured again and again to see drift.
    Anchor,
    /// A sample that is measured a second time later in the same process, to know the noise.
    Repeat,
    /// A sample that is measured again by another process, to know what a restart changes (algorithms picked, memory layout).
    Fresh,
}

impl Role {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Anchor => "anchor",
            Self::Repeat => "repeat",
            Self::Fresh => "fresh",
        }
    }
}

/// How a measurement ended, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The 95 % interval of the median became narrow enough.
    Converged,
    /// The time limit came first; the interval is wider than asked, but at most 5 % to either side.
    Capped,
    /// The time limit came first, and the interval is wider than 5 % to either side.
    Noisy,
    /// The clock stayed below the usual level of this run.
    Throttled,
    /// The network could not be built or run; `reason` says why.
    Failed,
}

impl Status {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Capped => "capped",
            Self::Noisy => "noisy",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }
}

/// The measured latency of one architecture, with everything needed to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Number of the architecture in the draw (see `lat_space::architecture_at`).
    pub index: u64,
    /// The reason why it was measured.
    pub role: Role,
    /// How often the schedule had the same architecture before under this role: for an anchor the round, else 0.
    #[serde(default)]
    pub occurrence: u32,
    /// How often exactly this row was measured before. If a row failed or lies in a stretch with drift, its last attempt counts;
    /// earlier attempts are kept and count as superseded.
    #[serde(default)]
    pub attempt: u32,
    /// The architecture in its space's text form.
    pub architecture: String,
    /// How the measurement ended.
    pub status: Status,
    /// The reason if the status is [`Status::Failed`], else empty.
    pub reason: String,
    /// Median over the timed runs, milliseconds per batch; NaN (null in JSON) if the row failed. The run's mode says whether
    /// launches are included.
    #[serde(with = "nullable")]
    pub latency_ms: f64,
    /// Median of runs as `PyTorch` launches them, milliseconds; NaN if the mode does not measure it.
    #[serde(with = "nullable", default = "nullable::missing")]
    pub latency_eager_ms: f64,
    /// Median of replays of the network captured as one CUDA graph, milliseconds: the device's own time. NaN if the mode does not
    /// measure it.
    #[serde(with = "nullable", default = "nullable::missing")]
    pub latency_graph_ms: f64,
    /// Whether the launches limit the speed: eager time is over 1.25 times graph time. None unless both are measured.
    #[serde(default)]
    pub launch_bound: Option<bool>,
    /// Median of the clock's readings, milliseconds; differs from `latency_ms` if runs are corrected by a reference network
    /// (CPU).
    #[serde(with = "nullable")]
    pub latency_raw_ms: f64,
    /// Median absolute deviation, milliseconds.
    #[serde(with = "nullable")]
    pub latency_mad_ms: f64,
    /// Lower quartile, milliseconds.
    #[serde(with = "nullable")]
    pub latency_q1_ms: f64,
    /// Upper quartile, milliseconds.
    #[serde(with = "nullable")]
    pub latency_q3_ms: f64,
    /// Fastest run, milliseconds.
    #[serde(with = "nullable")]
    pub latency_min_ms: f64,
    /// Lower end of the 95 % order-statistic interval of the median, milliseconds.
    #[serde(with = "nullable")]
    pub latency_ci_low_ms: f64,
    /// Upper end of that interval, milliseconds.
    #[serde(with = "nullable")]
    pub latency_ci_high_ms: f64,
    /// 90th percentile, milliseconds; NaN if there are fewer than 64 runs, which are too few for it (the bound of `MLPerf`
    /// `LoadGen`).
    #[serde(with = "nullable", default = "nullable::missing")]
    pub latency_p90_ms: f64,
    /// 99th percentile, milliseconds; NaN if there are fewer than 662 runs.
    #[serde(with = "nullable", default = "nullable::missing")]
    pub latency_p99_ms: f64,
    /// Number of timed runs.
    pub n_runs: u32,
    /// Number of timed runs that were discarded and repeated because the clock was low.
    #[serde(default)]
    pub n_discarded: u32,
    /// Number of runs before the timed ones.
    pub n_warmup: u32,
    /// Trainable parameters of the network.
    pub params: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
    /// Memory for weights and for activations at their peak, MiB: on a GPU from libtorch's allocator, elsewhere counted over the
    /// graph. The entry `peak-memory` among the header's versions says which.
    #[serde(default)]
    pub peak_memory_mib: Option<f64>,
    /// Growth of the process's resident memory at its peak, MiB. Only in rows that a process of their own measured on a CPU. It
    /// includes what the count leaves out (workspaces of libraries, the allocator's rounding).
    #[serde(default)]
    pub peak_rss_mib: Option<f64>,
    /// Energy of one batch, millijoules, if the device gives it and the row belongs to the subset for which it is measured.
    #[serde(default)]
    pub energy_mj: Option<f64>,
    /// Clock of the device after the runs, if it can be read.
    pub clock_mhz: Option<f64>,
    /// Temperature of the device in degrees Celsius, if it can be read.
    pub temperature_c: Option<f64>,
    /// Power drawn by the device, if it can be read.
    pub power_w: Option<f64>,
    /// Reasons for throttling that the driver gives, if it can be asked; an empty text if there are none.
    pub throttle_reasons: Option<String>,
    /// Seconds spent inside warm-up and timed runs.
    pub timed_s: f64,
    /// Seconds spent on the row altogether, including building the network.
    pub wall_s: f64,
    /// Seconds since 1970 at the end of the row.
    pub unix_s: f64,
}

impl Measurement {
    /// The value of a column that can be a target; None if the row lacks it or the column cannot be a target.
    pub fn target(&self, column: &str) -> Option<f64> {
        let value = match column {
            "latency_ms" => self.latency_ms,
            "latency_eager_ms" => self.latency_eager_ms,
            "latency_graph_ms" => self.latency_graph_ms,
            "peak_memory_mib" => self.peak_memory_mib?,
            "peak_rss_mib" => self.peak_rss_mib?,
            "energy_mj" => self.energy_mj?,
            "params" => self.params as f64,
            "multiply_adds" => self.multiply_adds as f64,
            _ => return None,
        };
        value.is_finite().then_some(value)
    }

    /// The key by which the schedule knows it: role, number, and how often the same came before.
    pub fn identity(&self) -> (Role, u64, u32) {
        (self.role, self.index, self.occurrence)
    }
}

/// For each row, whether a later attempt replaces it.
pub fn superseded(rows: &[Measurement]) -> Vec<bool> {
    let mut newest: HashMap<(Role, u64, u32), u32> = HashMap::new();
    for row in rows {
        let attempt = newest.entry(row.identity()).or_default();
        *attempt = (*attempt).max(row.attempt);
    }
    rows.iter().map(|row| row.attempt < newest[&row.identity()]).collect()
}

/// The settings of a run, fixed when it begins and the same for all its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// Version of the folder's format, [`RunHeader::VERSION`].
    pub version: u32,
    /// Id of the search space.
    pub space: String,
    /// Macro architecture of the timed networks.
    pub skeleton: Skeleton,
    /// Seed of the draw.
    pub seed: u64,
    /// Images per batch.
    pub batch: u32,
    /// Device as named on the command line, such as `cpu`, `cuda:0`, `fake`.
    pub device: String,
    /// The device's own name, such as the CPU's or GPU's model.
    pub device_name: String,
    /// How the networks run: the fields `precision`, `mode`, `channels_last` and `cold`.
    #[serde(flatten)]
    pub point: OperatingPoint,
    /// The part of the run's samples in this folder, such as `2/8`; None if it has all.
    #[serde(default)]
    pub shard: Option<String>,
    /// CPU threads libtorch uses.
    pub threads: u32,
    /// Time of the reference network (which corrects runs on a CPU) when undisturbed, milliseconds.
    pub reference_ms: Option<f64>,
    /// Versions of lat, libtorch, the driver and the like, as `name version`.
    pub versions: Vec<String>,
}

impl RunHeader {
    /// Version of the folder's format that this program writes.
    pub const VERSION: u32 = 2;
    /// The oldest version that this program still reads.
    pub const OLDEST: u32 = 1;

    /// Whether the folder contains one of several parts of a run. A run merged from parts is whole.
    pub fn is_shard(&self) -> bool {
        self.shard.as_ref().is_some_and(|shard| shard.parse::<Shard>().is_ok())
    }

    /// The first setting that makes the two runs different measurements, as (name, this, other); versions do not count.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        self.differences(other).into_iter().next()
    }

    /// All settings that make the two runs different measurements, as (name, this, other); versions do not count.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let (a, b) = (self.point, other.point);
        let pairs = [
            ("space", self.space.clone(), other.space.clone()),
            ("skeleton", describe(&self.skeleton), describe(&other.skeleton)),
            ("seed", self.seed.to_string(), other.seed.to_string()),
            ("batch", self.batch.to_string(), other.batch.to_string()),
            ("device", self.device.clone(), other.device.clone()),
            ("device name", self.device_name.clone(), other.device_name.clone()),
            ("precision", a.precision.name().to_owned(), b.precision.name().to_owned()),
            ("mode", a.mode.name().to_owned(), b.mode.name().to_owned()),
            ("channels last", a.channels_last.to_string(), b.channels_last.to_string()),
            ("cold caches", a.cold.to_string(), b.cold.to_string()),
            ("shard", shard(self), shard(other)),
            ("threads", self.threads.to_string(), other.threads.to_string()),
        ];
        pairs.into_iter().filter(|(_, a, b)| a != b).collect()
    }
}

fn shard(header: &RunHeader) -> String {
    header.shard.clone().unwrap_or_else(|| "all".into())
}

/// A description of the skeleton that contains everything in which it may differ from another.
fn describe(skeleton: &Skeleton) -> String {
    format!("{skeleton}, {:?} stem", skeleton.stem)
}

#[cfg(test)]
pub(crate) mod tests {
    use lat_space::Stem;

    use super::*;
    use crate::Mode;

    /// A row in which all values are different, so that swapped fields are noticed.
    pub(crate) fn measurement(index: u64, role: Role, latency_ms: f64) -> Measurement {
        Measurement {
            index,
            role,
            occurrence: 0,
            attempt: 0,
            architecture: format!("|nor_conv_3x3~{index}|"),
            status: Status::Converged,
            reason: String::new(),
            latency_ms,
            latency_eager_ms: latency_ms * 1.2,
            latency_graph_ms: latency_ms * 0.7,
            launch_bound: Some(true),
            latency_raw_ms: latency_ms * 1.05,
            latency_mad_ms: 0.1,
            latency_q1_ms: latency_ms * 0.9,
            latency_q3_ms: latency_ms * 1.1,
            latency_min_ms: latency_ms * 0.8,
            latency_ci_low_ms: latency_ms * 0.99,
            latency_ci_high_ms: latency_ms * 1.01,
            latency_p90_ms: latency_ms * 1.2,
            latency_p99_ms: latency_ms * 1.3,
            n_runs: 20,
            n_discarded: 2,
            n_warmup: 3,
            params: 1000 + index,
            multiply_adds: 2_000_000 + index,
            peak_memory_mib: Some(12.5),
            peak_rss_mib: Some(14.5),
            energy_mj: Some(33.0),
            clock_mhz: Some(1410.0),
            temperature_c: None,
            power_w: Some(70.5),
            throttle_reasons: Some("power \"cap\"".to_owned()),
            timed_s: 0.06,
            wall_s: 0.25,
            unix_s: 1_750_000_000.25,
        }
    }

    pub(crate) fn failed(index: u64) -> Measurement {
        let mut row = measurement(index, Role::Sample, f64::NAN);
        row.status = Status::Failed;
        "out of memory".clone_into(&mut row.reason);
        row
    }

    pub(crate) fn header() -> RunHeader {
        let skeleton =
            Skeleton { channels: 16, layers: 8, resolution: 32, classes: 10, stem: Stem::Cifar };
        RunHeader {
            version: RunHeader::VERSION,
            space: "nasbench201".to_owned(),
            skeleton,
            seed: u64::MAX - 1,
            batch: 32,
            device: "cuda:0".to_owned(),
            device_name: "Card A".to_owned(),
            point: OperatingPoint {
                mode: Mode::Both,
                channels_last: true,
                ..OperatingPoint::default()
            },
            shard: Some("2/8".to_owned()),
            threads: 2,
            reference_ms: Some(1.25),
            versions: vec!["lat 0.1.0".to_owned(), "libtorch 2.11.0".to_owned()],
        }
    }

    #[test]
    fn names_are_those_in_json() {
        for role in [Role::Sample, Role::Anchor, Role::Repeat, Role::Fresh] {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.name()));
        }
        let all =
            [Status::Converged, Status::Capped, Status::Noisy, Status::Throttled, Status::Failed];
        for status in all {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{}\"", status.name()));
        }
    }

    #[test]
    fn a_difference_names_the_setting_and_versions_do_not_count() {
        let (a, mut b) = (header(), header());
        b.versions.clear();
        assert_eq!(a.difference(&b), None);
        b.skeleton.stem = Stem::ImageNet;
        let (field, this, other) = a.difference(&b).unwrap();
        assert_eq!(field, "skeleton");
        assert_eq!(this, "C=16, 8 cells, 32x32, 10 classes, Cifar stem");
        assert_eq!(other, "C=16, 8 cells, 32x32, 10 classes, ImageNet stem");
        b.threads += 1;
        let names: Vec<&str> = a.differences(&b).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["skeleton", "threads"]);
    }
}
