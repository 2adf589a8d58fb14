//! `lat` without a command: prints the three main commands, the results in `./runs`, and a suggested next command.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use lat::record::{EvaluationRecord, SearchRecord};
use lat_data::run_header;
use lat_predictor::{Label, Predictor};

use super::failure::exit_code;
use super::groups;
use super::output::say;
use super::records::{read_evaluation, read_search};
use super::results::{Result, Results};
use super::runs::root;
use super::skeleton::device;

/// Exit code of a command line without a command.
const NO_COMMAND: u8 = 2;

/// Prints the welcome text. Returns the exit code for bad usage, because no command was given.
pub(super) fn welcome() -> ExitCode {
    let (results, n_damaged) = readable(Results::below(root()));
    match say(text(&results, n_damaged).trim_end()) {
        Ok(()) => ExitCode::from(NO_COMMAND),
        error => exit_code(error),
    }
}

/// The results that can be read, and the number of damaged ones, which are left out.
fn readable(mut results: Results) -> (Results, usize) {
    let before = results.paths().count();
    let Results { profiles, begun_profiles, predictors, searches, evaluations, .. } = &mut results;
    for kind in [profiles, begun_profiles] {
        kind.retain(|run| run_header(&run.path).is_ok());
    }
    predictors.retain(|file| Predictor::load(&file.path).is_ok());
    searches.retain(|dir| read_search(&dir.path.join(SearchRecord::FILE)).is_ok());
    evaluations.retain(|dir| read_evaluation(&dir.path.join(EvaluationRecord::FILE)).is_ok());
    let n_damaged = before - results.paths().count();
    (results, n_damaged)
}

fn text(results: &Results, n_damaged: usize) -> String {
    let profile = profile_command();
    let search = match profile.contains("--space") {
        true => "lat search --space nasbench201 --lambda 0.1",
        false => "lat search --lambda 0.1",
    };
    let mut text = format!(
        "lat finds neural architectures that are accurate and fast on your device, in three commands:\n\n  {:<62}measure architectures\n  {:<62}learn to predict their latency\n  {:<62}find one that is accurate and fast\n\n",
        profile, "lat train", search
    );
    let folder = root().display();
    if !root().is_dir() {
        let _ = writeln!(text, "There is no ./{folder} here yet.");
    } else if results.is_empty() && n_damaged == 0 {
        let _ = writeln!(text, "./{folder} holds no results yet.");
    } else {
        let _ = write!(text, "In ./{folder}:\n{}", counts(results));
        if n_damaged > 0 {
            let _ = writeln!(text, "  {n_damaged} more cannot be read: lat report says why");
        }
    }
    let _ = writeln!(text, "Next: {}", next(results, &profile));
    text + "All commands: lat --help"
}

/// The first of the three commands, adapted to this machine.
fn profile_command() -> String {
    lat_profiler::enable_cuda();
    match device(None) {
        Ok(lat_profiler::DeviceSpec::Cuda(n)) => {
            format!("lat profile --device cuda:{n} --samples 100000")
        }
        // On shared processors one thread is steadier, and cells of NAS-Bench-201 are quick to search.
        _ => "lat --threads 1 profile --space nasbench201 --samples 300".to_owned(),
    }
}

/// One line per kind of result.
fn counts(results: &Results) -> String {
    let line = |kind: &[Result], one: &str, many: &str, begun: usize| {
        let begun = match begun {
            0 => String::new(),
            n => format!(", and {n} not finished"),
        };
        match kind {
            [] => format!("  no {one}{begun}\n"),
            [only] => format!("  1 {one}{begun}: {}\n", only.path.display()),
            [newest, ..] => {
                format!("  {} {many}{begun}, the newest {}\n", kind.len(), newest.path.display())
            }
        }
    };
    [
        line(&results.profiles, "profile", "profiles", results.begun_profiles.len()),
        line(&results.predictors, "predictor", "predictors", 0),
        line(&results.searches, "search", "searches", results.begun.len()),
        line(&results.evaluations, "evaluation", "evaluations", 0),
    ]
    .concat()
}

/// The command that continues from the newest result.
fn next(results: &Results, profile: &str) -> String {
    let newest = |kind: &[Result]| kind.first().map(|result| result.when);
    let (profiles, predictors) = (&results.profiles, &results.predictors);
    let (searches, evaluations) = (&results.searches, &results.evaluations);
    if profiles.is_empty() && predictors.is_empty() {
        return match results.begun_profiles.first() {
            Some(begun) => format!(
                "the `lat profile` command of {} again, which goes on with it",
                begun.path.display()
            ),
            None => profile.to_owned(),
        };
    }
    if newest(predictors) < newest(profiles) {
        return train(&profiles[0].path);
    }
    if newest(searches) < newest(predictors) {
        return match Predictor::load(&predictors[0].path) {
            Ok(predictor) => search(&predictors[0].path, predictor.label()),
            Err(_) => "lat train".to_owned(),
        };
    }
    match searches.first() {
        Some(search) if newest(evaluations) < newest(searches) => {
            format!("lat evaluate --arch {}/search.json", search.path.display())
        }
        _ => "lat report, which draws all of it".to_owned(),
    }
}

/// The command that trains on a run. A single shard cannot be trained on.
fn train(dir: &Path) -> String {
    match run_header(dir) {
        Ok(Some(header)) if header.is_shard() => "lat merge, which joins the shards".to_owned(),
        _ => "lat train".to_owned(),
    }
}

fn search(path: &Path, label: &Label) -> String {
    if label.declaration.is_some() {
        return format!("lat predict --predictor {} --file architectures.txt", path.display());
    }
    let flags = [("space", &label.space), ("target", &label.column)];
    let unusual = flags.into_iter().filter(|(flag, value)| !is_default(flag, value));
    let flags: String = unusual.map(|(flag, value)| format!(" --{flag} {value}")).collect();
    format!("lat search --lambda 0.1{flags}")
}

/// Whether this value is the default of a flag of `lat search`.
fn is_default(flag: &str, value: &str) -> bool {
    let command = groups::command();
    let search = command.find_subcommand("search");
    let flag = search.and_then(|search| search.get_arguments().find(|arg| arg.get_id() == flag));
    flag.is_some_and(|flag| flag.get_default_values().iter().any(|default| default == value))
}

#[cfg(test)]
mod tests {
    use super::is_default;

    #[test]
    fn what_a_search_takes_by_itself_is_known() {
        assert!(is_default("target", "latency_ms") && is_default("space", "darts"));
        assert!(!is_default("target", "energy_mj") && !is_default("no such flag", "darts"));
    }
}
