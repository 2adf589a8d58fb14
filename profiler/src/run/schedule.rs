//! All rows of a run in their order; they depend only on its options.

use lat_data::{Role, Shard};
use lat_space::SearchSpace;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rounds::schedule_rounds;
use crate::{ProfileOptions, Task};

/// Number of anchor architectures.
pub const ANCHORS: u64 = 4;
/// Makes the choice of repeats independent of other uses of the run's seed.
pub(crate) const REPEAT_SALT: u64 = 0x7265_7065_6174;
/// Makes the choice of fresh repeats, and the order of anchors, independent of other uses of the run's seed.
const FRESH_SALT: u64 = 0x6672_6573_6800;
const ORDER_SALT: u64 = 0x6f72_6465_7200;
/// The fewest fresh repeats, if there are any.
const FEWEST_FRESH: u64 = 5;
/// The fewest repeats, if there are any, so that a short run has a noise floor too.
const FEWEST_REPEATS: u64 = 10;

/// Number of anchors in the space: four, or all its architectures if there are fewer.
pub(crate) fn n_anchors(space: &dyn SearchSpace) -> u64 {
    ANCHORS.min(u64::try_from(space.size()).unwrap_or(ANCHORS))
}

/// All rows of a run in their order. They depend only on the options, so a resumed run continues where it stopped.
///
/// Shards have the same repeats as the whole run, each those of its own samples. Each shard measures the anchors after as many
/// samples as the whole run does, because they show its drift and how its device compares with the others.
pub fn schedule(space: &dyn SearchSpace, options: &ProfileOptions) -> Vec<Task> {
    if !options.rounds.is_empty() {
        return schedule_rounds(space, options);
    }
    let mut tasks = Vec::new();
    let shard = options.shard.unwrap_or(Shard::WHOLE);
    let repeats = repeats(options).into_iter().filter(|&(_, index)| shard.contains(index));
    let mut repeats = repeats.peekable();
    let mut round = 0;
    let mut anchors = |tasks: &mut Vec<Task>| {
        tasks.extend(anchor_round(space, options.seed, round));
        round += 1;
    };
    for (place, index) in shard.samples(options.samples).enumerate() {
        if options.anchors_every > 0 && (place as u64).is_multiple_of(options.anchors_every) {
            anchors(&mut tasks);
        }
        tasks.push(Task { role: Role::Sample, index, occurrence: 0 });
        while let Some((_, index)) = repeats.next_if(|&(after, _)| after <= index) {
            tasks.push(Task { role: Role::Repeat, index, occurrence: 0 });
        }
    }
    // Repeats that are due after a sample of another shard, if no sample of this shard follows.
    tasks.extend(repeats.map(|(_, index)| Task { role: Role::Repeat, index, occurrence: 0 }));
    if options.anchors_every > 0 {
        anchors(&mut tasks);
    }
    let fresh = |index| Task { role: Role::Fresh, index, occurrence: 0 };
    let own = fresh_repeats(options).into_iter().filter(|&index| shard.contains(index));
    tasks.extend(own.map(fresh));
    tasks
}

/// All anchors once, in a different order each time, so that an anchor's after-effects do not always meet the same next anchor.
pub(crate) fn anchor_round(space: &dyn SearchSpace, seed: u64, occurrence: u32) -> Vec<Task> {
    let mut order: Vec<u64> = (0..n_anchors(space)).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed ^ ORDER_SALT ^ u64::from(occurrence)));
    let task = |index| Task { role: Role::Anchor, index, occurrence };
    order.into_iter().map(task).collect()
}

/// Whether the energy of this task is also measured. It is for the first samples, whose order is random anyway.
pub(crate) fn measures_energy(task: Task, options: &ProfileOptions) -> bool {
    let count = (options.energy_fraction * options.samples as f64).ceil() as u64;
    task.role == Role::Sample && task.index < count
}

/// The samples that a new process measures again, in random order.
fn fresh_repeats(options: &ProfileOptions) -> Vec<u64> {
    fresh_places(options, options.samples).into_iter().map(|place| place as u64).collect()
}

/// The places of fresh repeats in the order of `samples` samples.
pub(crate) fn fresh_places(options: &ProfileOptions, samples: u64) -> Vec<usize> {
    if options.fresh_fraction <= 0.0 {
        return Vec::new();
    }
    let wanted = (options.fresh_fraction * samples as f64).round() as u64;
    let count = wanted.max(FEWEST_FRESH.min(samples / 10));
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ FRESH_SALT);
    rand::seq::index::sample(&mut rng, samples as usize, count as usize).into_vec()
}

/// How many of this number of samples are measured a second time.
pub(crate) fn n_repeats(options: &ProfileOptions, samples: u64) -> u64 {
    if options.repeat_fraction <= 0.0 {
        return 0;
    }
    let wanted = (options.repeat_fraction * samples as f64).round() as u64;
    wanted.max(FEWEST_REPEATS.min(samples / 5))
}

/// Pairs (sample after which to repeat, sample to repeat), ascending.
fn repeats(options: &ProfileOptions) -> Vec<(u64, u64)> {
    let (samples, count) = (options.samples, n_repeats(options, options.samples));
    if count == 0 {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed ^ REPEAT_SALT);
    // From the first four fifths, so that there is always a later moment for the repeat.
    let pool = (samples * 4 / 5) as usize;
    let chosen = rand::seq::index::sample(&mut rng, pool, (count as usize).min(pool));
    let mut repeats: Vec<(u64, u64)> = chosen
        .into_iter()
        .map(|index| (rng.gen_range(index as u64 + 1..samples), index as u64))
        .collect();
    repeats.sort_unstable();
    repeats
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use lat_space::{find_skeleton, find_space};

    use super::*;
    use crate::DeviceSpec;

    fn tasks(samples: u64, change: impl Fn(&mut ProfileOptions)) -> Vec<Task> {
        let space = find_space("darts").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let mut options = ProfileOptions::new(skeleton, DeviceSpec::Fake);
        options.samples = samples;
        change(&mut options);
        schedule(space.as_ref(), &options)
    }

    fn of(tasks: &[Task], role: Role) -> Vec<Task> {
        tasks.iter().copied().filter(|t| t.role == role).collect()
    }

    #[test]
    fn every_sample_once_in_order_and_no_row_twice() {
        let tasks = tasks(250, |_| ());
        let samples: Vec<u64> = of(&tasks, Role::Sample).iter().map(|t| t.index).collect();
        assert_eq!(samples, (0..250).collect::<Vec<_>>());
        assert_eq!(tasks.iter().collect::<HashSet<_>>().len(), tasks.len());
    }

    #[test]
    fn anchors_at_the_start_every_hundred_and_at_the_end() {
        let tasks = tasks(250, |_| ());
        let anchors = of(&tasks, Role::Anchor);
        assert_eq!(anchors.len(), 4 * 4);
        assert!(tasks[..4].iter().all(|t| t.role == Role::Anchor && t.occurrence == 0));
        assert!(tasks[tasks.len() - 4..].iter().all(|t| t.role == Role::Anchor));
    }

    #[test]
    fn enough_repeats_for_a_noise_floor_each_after_its_sample() {
        for (samples, repeats) in [(4, 0), (20, 4), (50, 10), (200, 10), (1000, 20)] {
            let tasks = tasks(samples, |_| ());
            assert_eq!(of(&tasks, Role::Repeat).len(), repeats, "{samples} samples");
            for (place, task) in tasks.iter().enumerate().filter(|(_, t)| t.role == Role::Repeat) {
                let sample = Task { role: Role::Sample, ..*task };
                assert!(tasks[..place - 1].contains(&sample), "{task:?} has a row in between");
            }
        }
    }

    #[test]
    fn a_fresh_process_repeats_distinct_samples_at_the_end() {
        for (samples, fresh) in [(4, 0), (20, 2), (200, 5), (1000, 10)] {
            let tasks = tasks(samples, |o| o.fresh_fraction = 0.01);
            let again = of(&tasks, Role::Fresh);
            assert_eq!(again.len(), fresh, "{samples} samples");
            assert_eq!(&tasks[tasks.len() - fresh..], again);
            assert_eq!(again.iter().map(|t| t.index).collect::<HashSet<_>>().len(), fresh);
        }
    }

    #[test]
    fn the_order_of_anchors_changes_from_round_to_round() {
        let tasks = tasks(1000, |_| ());
        let anchors = of(&tasks, Role::Anchor);
        let orders: HashSet<Vec<u64>> =
            anchors.chunks(4).map(|round| round.iter().map(|t| t.index).collect()).collect();
        assert!(orders.len() > 3, "{orders:?}");
    }

    #[test]
    fn zero_turns_anchors_and_repeats_off() {
        let tasks = tasks(100, |o| (o.anchors_every, o.repeat_fraction) = (0, 0.0));
        assert_eq!(tasks.len(), 100);
    }

    #[test]
    fn shards_share_the_samples_and_repeats_and_each_has_all_anchors() {
        let whole = tasks(500, |_| ());
        let shards: Vec<Vec<Task>> =
            (1..=3).map(|i| tasks(500, |o| o.shard = Shard::new(i, 3))).collect();
        for role in [Role::Sample, Role::Repeat] {
            let mut all: Vec<Task> = shards.iter().flat_map(|shard| of(shard, role)).collect();
            let mut expected = of(&whole, role);
            all.sort_unstable_by_key(|task| task.index);
            expected.sort_unstable_by_key(|task| task.index);
            assert_eq!(all, expected);
        }
        for shard in &shards {
            // 166 or 167 samples, so anchors at 0, at 100 and at the end.
            assert_eq!(of(shard, Role::Anchor).len(), 4 * 3);
            for task in of(shard, Role::Repeat) {
                let place =
                    |role| shard.iter().position(|t| (t.role, t.index) == (role, task.index));
                assert!(place(Role::Sample) < place(Role::Repeat), "{task:?}");
            }
        }
        assert_eq!(tasks(500, |o| o.shard = Shard::new(1, 1)), whole);
    }

    #[test]
    fn the_seed_moves_the_repeats_and_not_the_anchors() {
        let with = |seed| tasks(200, |o| o.seed = seed);
        assert_eq!(with(1), with(1));
        assert_ne!(of(&with(1), Role::Repeat), of(&with(2), Role::Repeat));
        let space = find_space("darts").unwrap();
        let anchor = Task { role: Role::Anchor, index: 2, occurrence: 0 };
        let architecture = |seed| anchor.architecture(space.as_ref(), seed).unwrap();
        assert_eq!(architecture(1), architecture(2));
    }

    #[test]
    fn a_large_share_of_repeats_of_few_samples() {
        assert_eq!(of(&tasks(1, |o| o.repeat_fraction = 0.5), Role::Repeat).len(), 0);
        assert_eq!(of(&tasks(10, |o| o.repeat_fraction = 0.5), Role::Repeat).len(), 5);
    }
}
