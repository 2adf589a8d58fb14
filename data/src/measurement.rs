use lat_space::Skeleton;
use serde::{Deserialize, Serialize};

/// Why an architecture was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Drawn for the data set.
    Sample,
    /// One of a fixed few, measured again and again to see drift.
    Anchor,
    /// A sample measured a second time, to know the noise.
    Repeat,
}

/// How a measurement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The 95 % interval of the median became narrow enough.
    Converged,
    /// The time cap came first; the interval is wider than asked, at most 5 % to either side.
    Capped,
    /// The time cap came first and the interval is wider than 5 % to either side.
    Noisy,
    /// The clock stayed below the run's own level.
    Throttled,
    /// The network could not be built or run; `reason` says why.
    Failed,
}

/// One architecture's measured latency, with what is needed to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Number of the architecture in the draw (see `lat_space::architecture_at`).
    pub index: u64,
    /// Why it was measured.
    pub role: Role,
    /// The architecture in its space's text form.
    pub architecture: String,
    /// How the measurement ended.
    pub status: Status,
    /// For [`Status::Failed`] the reason, else empty.
    pub reason: String,
    /// Median over the timed runs, milliseconds per batch; NaN (null in JSON) where failed.
    #[serde(with = "nullable")]
    pub latency_ms: f64,
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
    /// Timed runs.
    pub n_runs: u32,
    /// Runs before the timed ones.
    pub n_warmup: u32,
    /// Trainable parameters of the network.
    pub params: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
    /// Clock of the device after the runs, where it can be read.
    pub clock_mhz: Option<f64>,
    /// Temperature of the device in degrees Celsius, where it can be read.
    pub temperature_c: Option<f64>,
    /// Power drawn by the device, where it can be read.
    pub power_w: Option<f64>,
    /// Reasons for throttling that the driver gives, where it can be asked; empty text: none.
    pub throttle_reasons: Option<String>,
    /// Seconds spent inside warm-up and timed runs.
    pub timed_s: f64,
    /// Seconds spent on the row altogether, building included.
    pub wall_s: f64,
    /// Seconds since 1970 at the row's end.
    pub unix_s: f64,
}

/// What a run measures and where: frozen when the run begins, and the same for all its rows.
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
    /// Device as named on the command line: `cpu`, `cuda:0`, `fake`.
    pub device: String,
    /// The device's own name, such as the CPU's or GPU's model.
    pub device_name: String,
    /// Number format of the computation: `fp32`.
    pub precision: String,
    /// CPU threads libtorch uses.
    pub threads: u32,
    /// Versions of lat, libtorch, the driver and the like, as `name version` texts.
    pub versions: Vec<String>,
}

impl RunHeader {
    /// Version of the folder's format that this program writes.
    pub const VERSION: u32 = 1;

    /// The first thing that makes the two runs different measurements, as (name, this, other); versions do not count.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let pairs = [
            ("format version", self.version.to_string(), other.version.to_string()),
            ("space", self.space.clone(), other.space.clone()),
            ("skeleton", self.skeleton.to_string(), other.skeleton.to_string()),
            ("seed", self.seed.to_string(), other.seed.to_string()),
            ("batch", self.batch.to_string(), other.batch.to_string()),
            ("device", self.device.clone(), other.device.clone()),
            ("device name", self.device_name.clone(), other.device_name.clone()),
            ("precision", self.precision.clone(), other.precision.clone()),
            ("threads", self.threads.to_string(), other.threads.to_string()),
        ];
        pairs.into_iter().find(|(_, a, b)| a != b)
    }
}

/// JSON has no NaN: it is written as null.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(s)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(d)?.unwrap_or(f64::NAN))
    }
}
