//! The rows of a run that chooses its samples round by round. The rows of earlier rounds never change when a new round is added.

use lat_data::Role;
use lat_space::SearchSpace;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::schedule::{REPEAT_SALT, anchor_round, fresh_places, n_repeats};
use crate::{ProfileOptions, Task};

/// Number of anchor rounds reserved for each round of samples, including those that are measured because of drift.
const ANCHOR_ROUNDS: u32 = 1000;

/// All rows of the rounds so far: anchors at the start, after each `anchors_every` samples of a round and after each round;
/// repeats within the round of their sample; and at the end the fresh repeats of a new process.
pub(crate) fn schedule_rounds(space: &dyn SearchSpace, options: &ProfileOptions) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut before = 0;
    for (number, samples) in options.rounds.iter().enumerate() {
        tasks.extend(round(space, options, number as u32, samples, before));
        before += samples.len() as u64;
    }
    let all = options.rounds.concat();
    let fresh = fresh_places(options, all.len() as u64).into_iter();
    tasks.extend(fresh.map(|place| task(Role::Fresh, all[place])));
    tasks
}

fn task(role: Role, index: u64) -> Task {
    Task { role, index, occurrence: 0 }
}

/// One round; `before` samples were measured in earlier rounds.
fn round(
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    number: u32,
    samples: &[u64],
    before: u64,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut occurrence = number * ANCHOR_ROUNDS;
    let mut anchors = |tasks: &mut Vec<Task>| {
        tasks.extend(anchor_round(space, options.seed, occurrence));
        occurrence += 1;
    };
    let mut repeats = repeats(options, number, samples.len(), before).into_iter().peekable();
    for (place, &index) in samples.iter().enumerate() {
        // A later round begins with the anchors at the end of the previous one.
        let is_due = options.anchors_every > 0
            && (place as u64).is_multiple_of(options.anchors_every)
            && (place > 0 || number == 0);
        if is_due {
            anchors(&mut tasks);
        }
        tasks.push(task(Role::Sample, index));
        while let Some((_, again)) = repeats.next_if(|&(after, _)| after <= place) {
            tasks.push(task(Role::Repeat, samples[again]));
        }
    }
    if options.anchors_every > 0 {
        anchors(&mut tasks);
    }
    tasks
}

/// Pairs (place in the round after which to repeat, place to repeat), ascending. Together with those of earlier rounds there are
/// as many as in a run with that many samples.
fn repeats(
    options: &ProfileOptions,
    number: u32,
    n_samples: usize,
    before: u64,
) -> Vec<(usize, usize)> {
    let count = n_repeats(options, before + n_samples as u64) - n_repeats(options, before);
    let salt = REPEAT_SALT ^ (u64::from(number) << 32);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ salt);
    let pool = n_samples * 4 / 5;
    let chosen = rand::seq::index::sample(&mut rng, pool, (count as usize).min(pool));
    let mut repeats: Vec<(usize, usize)> =
        chosen.into_iter().map(|place| (rng.gen_range(place + 1..n_samples), place)).collect();
    repeats.sort_unstable();
    repeats
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::{DeviceSpec, schedule};

    fn options(rounds: &[Vec<u64>]) -> ProfileOptions {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        ProfileOptions {
            rounds: rounds.to_vec(),
            ..ProfileOptions::new(skeleton, DeviceSpec::Fake)
        }
    }

    fn tasks(rounds: &[Vec<u64>], fresh_fraction: f64) -> Vec<Task> {
        let space = find_space("darts").unwrap();
        schedule(space.as_ref(), &ProfileOptions { fresh_fraction, ..options(rounds) })
    }

    fn rounds() -> Vec<Vec<u64>> {
        vec![(0..24).collect(), vec![24, 28, 99, 31, 27], (1000..1250).collect()]
    }

    #[test]
    fn a_round_more_leaves_those_before_as_they_are() {
        let all = tasks(&rounds(), 0.0);
        for n in 1..3 {
            let some = tasks(&rounds()[..n], 0.0);
            assert_eq!(some, all[..some.len()]);
        }
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let samples = all.iter().filter(|t| t.role == Role::Sample).map(|t| t.index);
        assert_eq!(samples.collect::<Vec<_>>(), rounds().concat());
    }

    #[test]
    fn anchors_enclose_every_round_and_their_numbers_leave_room() {
        let all = tasks(&rounds(), 0.0);
        let anchors: Vec<&Task> = all.iter().filter(|t| t.role == Role::Anchor).collect();
        let occurrences: Vec<u32> = anchors.chunks(4).map(|round| round[0].occurrence).collect();
        assert_eq!(occurrences, [0, 1, 1000, 2000, 2001, 2002]);
        assert!(all[..4].iter().chain(&all[all.len() - 4..]).all(|t| t.role == Role::Anchor));
        let without = ProfileOptions { anchors_every: 0, ..options(&rounds()) };
        let none = schedule(find_space("darts").unwrap().as_ref(), &without);
        assert!(none.iter().all(|t| t.role != Role::Anchor));
    }

    #[test]
    fn repeats_and_fresh_repeats_are_as_many_as_in_other_runs_and_of_samples_that_are_there() {
        let all = tasks(&rounds(), 0.01);
        let of = |role| all.iter().filter(move |t| t.role == role);
        assert_eq!((of(Role::Repeat).count(), of(Role::Fresh).count()), (10, 5));
        let place = |role, index| all.iter().position(|t| (t.role, t.index) == (role, index));
        for task in of(Role::Repeat).chain(of(Role::Fresh)) {
            assert!(place(Role::Sample, task.index) < place(task.role, task.index), "{task:?}");
        }
        let few = tasks(&[vec![0], vec![7]], 0.01);
        assert!(few.iter().all(|t| t.role != Role::Repeat && t.role != Role::Fresh));
    }
}
