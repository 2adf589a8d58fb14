//! `--until`: measures in rounds until predictions are good enough.

use std::time::Instant;

use lat::sampling::{ErrorGoal, Outcome, Sampling, interval};
use lat_data::{Judgement, Round, Rounds};
use lat_profiler::{ProfileOptions, Verdict, judge};
use lat_space::SearchSpace;

use super::args::Args;
use super::measuring::measure;
use super::opened::{Opened, announce, conclude, finish, open, wanted};
use super::summary::Ending;
use crate::cli::failure::bad;
use crate::cli::output::Screen;

/// Longest heat-soak of rounds after the first, in seconds: the device has only been idle during a fit.
const LATER_SOAK_S: f64 = 1.0;

/// Refuses flags that need information not known in advance, or rows that this process does not see.
pub(super) fn check(args: &Args, n_devices: usize) -> anyhow::Result<()> {
    let split = match () {
        () if n_devices > 1 => Some("several devices"),
        () if args.shard.is_some() => Some("--shard"),
        () if args.supervise => Some("--supervise"),
        () => None,
    };
    if let Some(found) = split {
        return Err(bad(format!(
            "expected one device and one process with --until, found {found}: each round is chosen by all rows before it; measure shards with --samples"
        )));
    }
    if args.plan {
        return Err(bad(
            "expected --samples with --plan, found --until: how many samples a goal takes is not known before they are measured",
        ));
    }
    if args.energy > 0.0 {
        return Err(bad(
            "expected --samples with --energy, found --until: it chooses by latency, and a share of an unknown number of samples is unknown too",
        ));
    }
    Ok(())
}

/// Measures round by round, or continues where an earlier process stopped.
pub(super) fn run(
    args: &Args,
    goal: ErrorGoal,
    space: &dyn SearchSpace,
    options: ProfileOptions,
    screen: Screen,
) -> anyhow::Result<()> {
    let mut opened = open(args, space, options, screen)?;
    let mut rounds = Rounds::read(opened.journal.dir())?.unwrap_or_default();
    opened.options.rounds = numbers(&rounds);
    if args.fresh {
        return measure(args, space, &opened.options, &mut opened.journal, screen).map(drop);
    }
    announce(space, &mut opened)?;
    if !opened.journal.rows().is_empty() {
        let (rows, n) = (opened.journal.rows().len(), rounds.rounds.len());
        screen.note(None, &format!("resuming: {rows} rows of {n} rounds are there"));
    }
    let fresh_fraction = std::mem::take(&mut opened.options.fresh_fraction);
    let (verdict, outcome) = all_rounds(args, goal, space, &mut opened, &mut rounds, screen)?;
    if verdict.done < verdict.total {
        return conclude(args, &mut opened.journal, &verdict, None);
    }
    opened.options.fresh_fraction = fresh_fraction;
    opened.journal.expect(wanted(space, &opened.options))?;
    let Verdict { rows_per_s, soak_s, soak_flat, .. } = verdict;
    let verdict = judge(space, &opened.options, opened.journal.rows());
    let verdict = Verdict { rows_per_s, soak_s, soak_flat, ..verdict };
    finish(args, space, opened, verdict, Some(ending(goal, outcome, &rounds)))
}

fn numbers(rounds: &Rounds) -> Vec<Vec<u64>> {
    rounds.rounds.iter().map(Round::samples).collect()
}

/// Runs rounds until the last one or until asked to stop. Returns the verdict on all rows; it is unfinished if the run was stopped.
fn all_rounds(
    args: &Args,
    goal: ErrorGoal,
    space: &dyn SearchSpace,
    opened: &mut Opened,
    rounds: &mut Rounds,
    screen: Screen,
) -> anyhow::Result<(Verdict, Outcome)> {
    let (begin, already) = (Instant::now(), opened.journal.rows().len());
    let mut soak = None;
    if rounds.rounds.is_empty() {
        add_round(space, opened, rounds)?;
    }
    loop {
        let Opened { options, journal, .. } = &mut *opened;
        options.rounds = numbers(rounds);
        journal.expect(wanted(space, options))?;
        let verdict = measure(args, space, options, journal, screen)?;
        let (soak_s, soak_flat) = *soak.get_or_insert((verdict.soak_s, verdict.soak_flat));
        let rows_per_s = (journal.rows().len() - already) as f64 / begin.elapsed().as_secs_f64();
        let verdict = Verdict { rows_per_s, soak_s, soak_flat, ..verdict };
        if verdict.done < verdict.total {
            return Ok((verdict, Outcome::GoOn));
        }
        options.soak_s = options.soak_s.min(LATER_SOAK_S);
        let working = screen.working("fitting a predictor to the rows so far");
        let judgement = sampling(space, opened, rounds).judge()?;
        working.finish_and_clear();
        if let Some(last) = rounds.rounds.last_mut() {
            last.judgement = judgement;
        }
        screen.note(None, &round_line(rounds, goal));
        let outcome = sampling(space, opened, rounds).outcome(goal);
        if outcome != Outcome::GoOn {
            rounds.write(opened.journal.dir())?;
            return Ok((verdict, outcome));
        }
        add_round(space, opened, rounds)?;
    }
}

/// Adds the next round. Its samples are saved before the first of them is measured.
fn add_round(space: &dyn SearchSpace, opened: &Opened, rounds: &mut Rounds) -> anyhow::Result<()> {
    let next = sampling(space, opened, rounds).next()?;
    rounds.rounds.push(next);
    Ok(rounds.write(opened.journal.dir())?)
}

fn sampling<'a>(
    space: &'a dyn SearchSpace,
    opened: &'a Opened,
    rounds: &'a Rounds,
) -> Sampling<'a> {
    let ProfileOptions { seed, samples: cap, .. } = opened.options;
    Sampling { space, seed, cap, rounds: &rounds.rounds, rows: opened.journal.rows() }
}

fn last(rounds: &Rounds) -> Option<&Judgement> {
    rounds.rounds.last()?.judgement.as_ref()
}

/// `validation MAPE 2.61 % (2.31 to 2.91) on 60 random samples`.
fn error_text(judgement: Option<&Judgement>) -> String {
    let Some(judgement) = judgement else {
        return "validation MAPE not known yet, with too few random samples measured".into();
    };
    let (low, high) = interval(judgement);
    let Judgement { mape, n_judged, .. } = judgement;
    format!(
        "validation MAPE {mape:.2} % (90 % interval {low:.2} to {high:.2}) on {n_judged} random samples"
    )
}

fn round_line(rounds: &Rounds, goal: ErrorGoal) -> String {
    let floor = last(rounds).and_then(|judgement| judgement.noise_floor);
    let floor = floor.map_or(String::new(), |floor| format!(", noise floor {floor:.2} %"));
    format!(
        "round {}: {} samples, {} of them chosen; {}{floor}; goal {} %",
        rounds.rounds.len(),
        rounds.n_samples(),
        rounds.n_chosen(),
        error_text(last(rounds)),
        goal.mape
    )
}

fn ending(goal: ErrorGoal, outcome: Outcome, rounds: &Rounds) -> Ending {
    let judgement = last(rounds);
    let bounds = judgement.map(interval);
    let chosen_percent = 100.0 * rounds.n_chosen() as f64 / rounds.n_samples() as f64;
    let what = outcome_text(goal, outcome, judgement);
    let text = format!(
        "{what}; {}; {} samples, {chosen_percent:.0} % of them chosen",
        error_text(judgement),
        rounds.n_samples()
    );
    Ending {
        goal_percent: goal.mape,
        reached: outcome == Outcome::Reached,
        rounds: rounds.rounds.len(),
        samples: rounds.n_samples(),
        chosen_percent,
        judged: judgement.map(|judgement| judgement.n_judged),
        validation_mape: judgement.map(|judgement| judgement.mape),
        validation_low: bounds.map(|(low, _)| low),
        validation_high: bounds.map(|(_, high)| high),
        text,
    }
}

fn outcome_text(goal: ErrorGoal, outcome: Outcome, judgement: Option<&Judgement>) -> String {
    let goal = goal.mape;
    let floor = judgement.and_then(|judgement| judgement.noise_floor).unwrap_or(f64::NAN);
    match outcome {
        Outcome::Reached => format!("goal of {goal} % reached"),
        Outcome::BelowNoise => format!(
            "goal of {goal} % out of reach: measurements repeat to {floor:.2} % only (noise floor), which no number of samples lowers, and the last three rounds lowered the error by less than 5 %: find the noise with `lat doctor`, or take a goal above it"
        ),
        _ => format!(
            "goal of {goal} % not reached with as many samples as --samples allows: go on with the same command and more"
        ),
    }
}
