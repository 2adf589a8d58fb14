//! Tests of choosing which samples to measure next.

use lat_profiler::{DeviceSpec, ProfileOptions, run};
use lat_space::{find_skeleton, find_space};

use super::*;

fn judged(mape: f64, standard_error: f64, noise_floor: Option<f64>) -> Round {
    let judgement = Some(Judgement { n_judged: 40, mape, standard_error, noise_floor });
    Round { judgement, random: (0..24).collect(), chosen: Vec::new() }
}

fn outcome(rounds: &[Round], goal: f64, cap: u64) -> Outcome {
    let space = find_space("nasbench201").unwrap();
    let sampling = Sampling { space: space.as_ref(), seed: 0, cap, rounds, rows: &[] };
    sampling.outcome(ErrorGoal { mape: goal })
}

#[test]
fn goals_are_read_with_and_without_spaces_and_others_refused() {
    for text in ["mape<3%", " mape < 3.0 % ", "mape <3%"] {
        assert_eq!(text.parse::<ErrorGoal>().unwrap().mape, 3.0, "{text}");
    }
    for text in ["", "mape", "mape<", "mape<3", "mape>3%", "rmse<3%", "mape<three%", "mape<=3%"] {
        let error = text.parse::<ErrorGoal>().unwrap_err();
        assert_eq!(error, format!("expected a goal like 'mape<3%', found '{text}'"));
    }
    for text in ["mape<0%", "mape<-1%", "mape<100%", "mape<NaN%", "mape<inf%"] {
        assert!(
            text.parse::<ErrorGoal>().unwrap_err().contains("above 0 and below 100 %"),
            "{text}"
        );
    }
}

#[test]
fn the_interval_decides_and_not_the_mean() {
    assert_eq!(outcome(&[judged(2.9, 0.1, None)], 3.0, 100), Outcome::GoOn);
    assert_eq!(outcome(&[judged(2.9, 0.05, None)], 3.0, 100), Outcome::Reached);
    assert_eq!(outcome(&[judged(2.9, 0.05, None)], 3.0, 24), Outcome::Reached);
    assert_eq!(outcome(&[judged(2.9, 0.1, None)], 3.0, 24), Outcome::Capped);
    let unknown = Round { random: (0..24).collect(), ..Round::default() };
    assert_eq!(outcome(&[judged(1.0, 0.1, None), unknown], 3.0, 100), Outcome::GoOn);
}

#[test]
fn noise_above_the_goal_ends_it_once_samples_stop_helping() {
    let rounds = |mapes: &[f64], floor| -> Vec<Round> {
        mapes.iter().map(|&mape| judged(mape, 0.5, Some(floor))).collect()
    };
    let idle = [9.0, 5.1, 5.0, 5.0, 4.95];
    assert_eq!(outcome(&rounds(&idle, 4.0), 3.0, 1000), Outcome::BelowNoise);
    assert_eq!(outcome(&rounds(&idle, 2.0), 3.0, 1000), Outcome::GoOn);
    assert_eq!(outcome(&rounds(&[9.0, 8.0, 6.0, 5.0], 4.0), 3.0, 1000), Outcome::GoOn);
    assert_eq!(outcome(&rounds(&idle[2..], 4.0), 3.0, 1000), Outcome::GoOn);
}

/// The rounds of a run on the fake device, up to this many samples.
fn rounds(space: &dyn SearchSpace, cap: u64) -> (Vec<Round>, Vec<Measurement>) {
    let skeleton = find_skeleton(space, "quick").unwrap();
    let mut options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
    let (mut rounds, mut rows) = (Vec::new(), Vec::new());
    while options.rounds.concat().len() < cap as usize {
        let sampling = Sampling { space, seed: 0, cap, rounds: &rounds, rows: &rows };
        let next = sampling.next().unwrap();
        options.rounds.push(next.samples());
        rounds.push(next);
        run(space, &options, &mut rows, &mut |_| (), &false.into()).unwrap();
    }
    (rounds, rows)
}

#[test]
fn rounds_grow_and_deal_random_and_chosen_samples_that_never_meet() {
    let space = find_space("nasbench201").unwrap();
    let (rounds, rows) = rounds(space.as_ref(), 60);
    let sizes: Vec<usize> = rounds.iter().map(|round| round.samples().len()).collect();
    assert_eq!(sizes, [24, 10, 14, 12]);
    assert_eq!(rounds[0].random, (0..24).collect::<Vec<_>>());
    assert_eq!(rounds[1].random, [24, 28, 32]);
    assert_eq!(rounds[2].random, [36, 40, 44, 48]);
    let chosen: Vec<u64> = rounds.iter().flat_map(|round| round.chosen.clone()).collect();
    assert!(chosen.iter().all(|i| *i > 24 && i % 4 != 0), "{chosen:?}");
    let all: HashSet<u64> = rounds.iter().flat_map(Round::samples).collect();
    assert_eq!(all.len(), 60);
    let again =
        Sampling { space: space.as_ref(), seed: 0, cap: 60, rounds: &rounds[..3], rows: &rows };
    // The chosen samples depend on the measured rows, which here include the last round's; only the random samples must be equal.
    assert_eq!(again.next().unwrap().random, rounds[3].random);
}

#[test]
fn a_judgement_needs_twenty_random_samples_and_knows_the_noise() {
    let space = find_space("nasbench201").unwrap();
    let (rounds, rows) = rounds(space.as_ref(), 34);
    let sampling =
        Sampling { space: space.as_ref(), seed: 0, cap: 99, rounds: &rounds, rows: &rows };
    let judgement = sampling.judge().unwrap().unwrap();
    assert_eq!(judgement.n_judged, 27);
    assert!(judgement.mape > 0.1 && judgement.mape < 100.0, "{judgement:?}");
    assert!(judgement.noise_floor.is_some_and(|floor| floor < 1.0), "{judgement:?}");
    let few: Vec<Measurement> = rows.iter().filter(|row| row.index < 15).cloned().collect();
    assert_eq!(Sampling { rows: &few, ..sampling }.judge().unwrap(), None);
}
