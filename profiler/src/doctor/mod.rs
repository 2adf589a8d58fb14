//! Checks that timing works on this machine before anyone relies on its numbers: the clock's resolution, the time shown for an
//! empty run, a run of known length, whether a missing wait would be noticed, and other properties of the device.

mod cpu;
mod gpu;
mod stopwatch;

use serde::{Deserialize, Serialize};

use crate::row::unix_s;
use crate::{DeviceSpec, ProfileError};

/// How good a finding is for measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Numbers will be noisier or less comparable than they could be.
    Doubtful,
    /// Numbers cannot be trusted.
    Bad,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name of the check.
    pub name: String,
    /// The result, with its unit.
    pub found: String,
    /// How good the result is.
    pub grade: Grade,
    /// What to do about it; empty if it is good.
    pub advice: String,
}

/// All findings on a device at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The device as named on the command line.
    pub device: String,
    /// Its model.
    pub device_name: String,
    /// Time of the examination, seconds since 1970.
    pub unix_s: f64,
    /// The checks and their results.
    pub findings: Vec<Finding>,
}

impl Certificate {
    /// The worst grade of all findings.
    pub fn grade(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Bad)
    }
}

impl Finding {
    fn good(name: &str, found: impl Into<String>) -> Self {
        Self::graded(name, found, Grade::Good, "")
    }

    fn graded(name: &str, found: impl Into<String>, grade: Grade, advice: &str) -> Self {
        let advice = if grade == Grade::Good { String::new() } else { advice.to_owned() };
        Self { name: name.to_owned(), found: found.into(), grade, advice }
    }

    /// A finding that is good if `ok`; otherwise it has this grade and advice.
    fn check(name: &str, found: impl Into<String>, ok: bool, grade: Grade, advice: &str) -> Self {
        Self::graded(name, found, if ok { Grade::Good } else { grade }, advice)
    }
}

/// Examines a device. This takes some seconds and changes no setting.
///
/// # Errors
/// [`ProfileError`] if the device does not answer at all.
pub fn examine(device: DeviceSpec) -> Result<Certificate, ProfileError> {
    let findings = match device {
        DeviceSpec::Cpu => cpu::findings()?,
        DeviceSpec::Cuda(ordinal) => gpu::findings(ordinal)?,
        DeviceSpec::Fake => vec![Finding::good("clock", "virtual: every number is as it was made")],
    };
    Ok(Certificate {
        device: device.to_string(),
        device_name: device.name(),
        unix_s: unix_s(),
        findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_grade() {
        let finding = |grade| Finding::graded("clock", "1 ns", grade, "mend it");
        let certificate = |grades: &[Grade]| Certificate {
            device: "cpu".into(),
            device_name: "CPU".into(),
            unix_s: 0.0,
            findings: grades.iter().map(|grade| finding(*grade)).collect(),
        };
        assert_eq!(certificate(&[Grade::Good, Grade::Doubtful]).grade(), Grade::Doubtful);
        assert_eq!(certificate(&[Grade::Bad, Grade::Good]).grade(), Grade::Bad);
        assert_eq!(certificate(&[]).grade(), Grade::Bad, "nothing was proved");
        assert!(finding(Grade::Good).advice.is_empty());
    }

    #[test]
    fn this_machines_cpu_can_time() {
        let certificate = examine(DeviceSpec::Cpu).unwrap();
        let grade =
            |name: &str| certificate.findings.iter().find(|f| f.name == name).unwrap().grade;
        for name in ["clock resolution", "run of known length", "missing wait"] {
            assert_ne!(grade(name), Grade::Bad, "{certificate:?}");
        }
    }
}
