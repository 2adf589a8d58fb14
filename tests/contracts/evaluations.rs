//! Contracts of the evaluation phase on every space.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lat::error::SearchError;
use lat::evaluate::{
    Evaluation, EvaluationSettings, TrainedEpoch, TrainingEvent, TrainingPlan, evaluate,
};
use lat::methods::Preset;
use lat_space::{SPACES, SearchSpace, architecture_at, count};
use tch::Device;

use crate::setup;
use crate::toy::{self, bits};

/// Trains the first draw for six epochs with all regularisers, in batches large enough for BN of a 1x1 map. If `interrupt` names
/// an epoch, the user interrupts after it.
fn run(
    space: &dyn SearchSpace,
    seed: u64,
    checkpoint: &Path,
    interrupt: Option<u32>,
) -> Result<Evaluation, SearchError> {
    // Drop path draws from libtorch's generator until the end.
    let _generator = setup::exclusive();
    let architecture = architecture_at(space, 0, 0).unwrap();
    let regularised =
        TrainingPlan { auxiliary: 0.4, drop_path: 0.2, ..TrainingPlan::preset(Preset::Quick) };
    let settings = EvaluationSettings {
        architecture: space.format(&architecture),
        space: space.id().into(),
        dataset: "digits".into(),
        images: String::new(),
        skeleton: toy::skeleton(space),
        plan: TrainingPlan { epochs: 6, batch: 32, ..regularised },
        seed,
        weights: None,
    };
    let stop = AtomicBool::new(false);
    let mut on_event = |event: TrainingEvent<'_>| {
        if let TrainingEvent::Epoch(epoch) = event {
            stop.store(interrupt == Some(epoch.epoch), Ordering::Relaxed);
        }
    };
    let on = (toy::digits(), Device::Cpu);
    evaluate((space, &architecture), &settings, on, checkpoint.to_owned(), &stop, &mut on_event)
}

fn without_seconds(evaluation: Evaluation) -> Evaluation {
    let epochs = evaluation.epochs.into_iter().map(|e| TrainedEpoch { seconds: 0.0, ..e });
    Evaluation { epochs: epochs.collect(), seconds: 0.0, ..evaluation }
}

#[test]
fn an_interrupted_evaluation_goes_on_as_the_straight_one() {
    for space in SPACES.iter().map(|build| build()) {
        let (space, folder) = (space.as_ref(), tempfile::tempdir().unwrap());
        let (straight, resumed) = (folder.path().join("straight"), folder.path().join("resumed"));
        let whole = run(space, 1, &straight, None).unwrap();
        let error = run(space, 1, &resumed, Some(2)).unwrap_err();
        assert!(matches!(error, SearchError::Interrupted), "{}: {error}", space.id());
        let end = run(space, 1, &resumed, None).unwrap();
        assert_eq!(without_seconds(whole.clone()), without_seconds(end), "{}", space.id());
        assert!(bits(&straight, "") == bits(&resumed, ""), "{}", space.id());

        let losses: Vec<f64> = whole.epochs.iter().map(|e| e.train_loss).collect();
        assert!(losses[5] < 0.9 * losses[0], "{}: {losses:?}", space.id());
        let graph = space.graph(&toy::skeleton(space));
        let architecture = architecture_at(space, 0, 0).unwrap();
        assert_eq!(whole.cost, count(&graph.derive(&architecture)), "{}", space.id());
        let error = run(space, 2, &resumed, None).unwrap_err();
        let text = "belongs to an evaluation with seed 1, this one has 2";
        assert!(error.to_string().contains(text), "{}: {error}", space.id());
    }
}
