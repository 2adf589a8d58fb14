//! `lat doctor`: checks that timing works on this machine.

use std::path::PathBuf;

use lat_profiler::{Certificate, Grade, examine};

use super::failure::failed;
use super::output::{Screen, say, table, write_json};
use super::skeleton::device;
use super::written::Written;

/// Check that timing works on this machine, and find what would disturb it.
///
/// Checks the clock's resolution, the time of an empty run, a run of known length, whether a missing wait would be noticed, noise, and
/// which other programs use the device. Changes no setting. Exits 1 if measured times could not be trusted.
///
/// Example: lat doctor --device cuda:0
#[derive(clap::Args)]
pub(super) struct Args {
    /// cpu or cuda:N [default: cuda:0 if there is one, else cpu].
    #[arg(long)]
    device: Option<String>,
    /// Also write the certificate as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(args: &Args, screen: Screen) -> anyhow::Result<()> {
    Written::default().output("--json", args.json.as_deref()).check()?;
    let device = device(args.device.as_deref())?;
    let working = screen.working("examining the device");
    let certificate = examine(device)?;
    working.finish_and_clear();
    say(format!("{} ({})", certificate.device, certificate.device_name))?;
    say(findings(&certificate))?;
    if let Some(path) = &args.json {
        write_json(path, &certificate)?;
    }
    match certificate.grade() {
        Grade::Good => say("GOOD: timing works here and nothing disturbs it"),
        Grade::Doubtful => say(
            "DOUBTFUL: timing works here; see the advice for what makes it noisier than need be",
        ),
        Grade::Bad => Err(failed("BAD: numbers measured here cannot be trusted; see the advice")),
    }
}

/// The findings as a table, each with its advice.
fn findings(certificate: &Certificate) -> String {
    let grade = |grade| match grade {
        Grade::Good => "good",
        Grade::Doubtful => "doubtful",
        Grade::Bad => "BAD",
    };
    let rows = certificate.findings.iter().map(|finding| {
        let grade = grade(finding.grade).to_owned();
        vec![finding.name.clone(), finding.found.clone(), grade, finding.advice.clone()]
    });
    table(&["looked at", "found", "is", "advice"], rows)
}
