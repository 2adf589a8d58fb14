//! Contracts of whole searches, for every method on every space.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use lat::checkpoint::Checkpoint;
use lat::error::SearchError;
use lat::methods::{METHODS, Options, Preset};
use lat::objective::{Estimator, Goal, Objective};
use lat::search::EpochReport;
use lat_predictor::{CostModel, PredictError, TableCost};
use lat_space::{Architecture, SPACES};
use tch::Tensor;

use super::methods::{Pair, pairs, supernet_pairs};
use crate::toy::{self, Plan, bits, without_seconds};

/// A folder for checkpoints, which is deleted at the end of the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn the_same_seed_gives_the_same_search_and_a_zero_lambda_changes_nothing() {
    check_seeds(pairs());
}

#[test]
fn the_same_seed_gives_the_same_search_and_a_zero_lambda_changes_nothing_of_supernets() {
    check_seeds(supernet_pairs());
}

fn check_seeds(pairs: impl IntoIterator<Item = Pair>) {
    for (space, entry) in pairs {
        let (space, folder) = (space.as_ref(), Folder::new());
        let name = format!("{} on {}", entry.name, space.id());
        let (plain, off) = (folder.file("plain"), folder.file("off"));
        let first = toy::search(space, entry, &Plan::new(1), None, &plain).unwrap();
        assert_eq!(first.epochs.len(), 1, "{name}");
        space.check(&first.architecture).unwrap();
        let last = first.epochs.last().unwrap();
        assert_eq!(space.format(&first.architecture), last.architecture, "{name}");

        let cost = toy::cost(space);
        let goal = Goal::Lambda(0.0);
        let objective = Objective::new(space, &cost, goal, Estimator::StraightThrough).unwrap();
        let again = toy::search(space, entry, &Plan::new(1), Some(objective), &off).unwrap();
        assert_eq!(first.architecture, again.architecture, "{name}");
        assert!(again.epochs.iter().all(|e| e.relaxed_cost.is_some() && e.derived_cost.is_some()));
        let without_cost = |epochs: &[EpochReport]| {
            let epochs = without_seconds(epochs).into_iter();
            let bare = |e| EpochReport {
                relaxed_cost: None,
                derived_cost: None,
                relaxation_gap_percent: None,
                ..e
            };
            epochs.map(bare).collect::<Vec<_>>()
        };
        assert_eq!(without_seconds(&first.epochs), without_cost(&again.epochs), "{name}");
        for part in ["net.", "method."] {
            assert!(bits(&plain, part) == bits(&off, part), "{name}: {part}");
        }
    }
}

#[test]
fn another_seed_gives_another_search() {
    for entry in METHODS {
        // These properties belong to the search loop, so one space is enough.
        let covered = SPACES.iter().map(|build| build()).filter(|s| entry.covers(s.as_ref()));
        let space = covered.min_by_key(|space| space.size()).unwrap();
        let folder = Folder::new();
        let files = [1, 2].map(|seed| {
            let (plan, file) = (Plan { seed, ..Plan::new(1) }, folder.file(&seed.to_string()));
            toy::search(space.as_ref(), entry, &plan, None, &file).unwrap();
            file
        });
        for part in ["net.", "method."] {
            assert!(bits(&files[0], part) != bits(&files[1], part), "{}: {part}", entry.name);
        }
    }
    for (space, entry) in pairs().filter(|(_, entry)| !entry.is_two_stage) {
        let probs = [1, 2].map(|seed| {
            let method = entry.build(Preset::Quick, &Options::new(), space.as_ref(), seed);
            Tensor::cat(&method.unwrap().relaxed().probs, 0)
        });
        assert_ne!(probs[0], probs[1], "{} on {}", entry.name, space.id());
    }
}

#[test]
fn an_interrupted_search_goes_on_as_the_straight_one() {
    check_resumption(pairs());
}

#[test]
fn an_interrupted_search_goes_on_as_the_straight_one_of_supernets() {
    check_resumption(supernet_pairs());
}

fn check_resumption(pairs: impl IntoIterator<Item = Pair>) {
    for (n, (space, entry)) in pairs.into_iter().enumerate() {
        let (space, folder) = (space.as_ref(), Folder::new());
        let name = format!("{} on {}", entry.name, space.id());
        let cost = toy::cost(space);
        // The pairs together cover both kinds of goal and all estimators. The target's multiplier and the baseline are part of
        // the state.
        let estimators = [Estimator::ScoreFunction, Estimator::StraightThrough];
        let goal = if n / 2 % 2 == 0 { Goal::Target(10.0) } else { Goal::Lambda(0.5) };
        let objective = || Objective::new(space, &cost, goal, estimators[n % 2]).ok();
        let (straight, resumed) = (folder.file("straight"), folder.file("resumed"));
        let whole = toy::search(space, entry, &Plan::new(3), objective(), &straight).unwrap();
        assert!(whole.relaxed_cost.is_some(), "{name}");
        for epoch in [2, 3] {
            let plan = Plan { interrupt: Some((epoch, 1)), ..Plan::new(3) };
            let error = toy::search(space, entry, &plan, objective(), &resumed).unwrap_err();
            assert!(matches!(error, SearchError::Interrupted), "{name}: {error}");
            let label = Checkpoint::load(&resumed).unwrap().label;
            let label: serde_json::Value = serde_json::from_str(&label).unwrap();
            let n_epochs = label["epochs"].as_array().unwrap().len();
            assert_eq!(n_epochs as u32, epoch - 1, "{name}: whole epochs are kept");
        }
        let end = toy::search(space, entry, &Plan::new(3), objective(), &resumed).unwrap();
        assert_eq!(whole.architecture, end.architecture, "{name}");
        assert_eq!(without_seconds(&whole.epochs), without_seconds(&end.epochs), "{name}");
        assert_eq!(whole.relaxed_cost, end.relaxed_cost, "{name}");
        for part in ["net.", "method.", "objective"] {
            assert!(bits(&straight, part) == bits(&resumed, part), "{name}: {part}");
        }
        if entry.is_two_stage {
            continue;
        }
        let entropies: Vec<f64> = whole.epochs.iter().map(|e| e.alpha_entropy).collect();
        // A method that has one architecture at a time has no entropy, but its architecture changes.
        let moved = entropies[0] != entropies[2]
            || (entry.is_sampling && whole.epochs[0].architecture != whole.epochs[2].architecture);
        assert!(moved || entry.is_two_stage, "{name}: alpha moved, {entropies:?}");
    }
}

#[test]
fn a_checkpoint_of_another_search_is_refused() {
    let (space, entry) = pairs().next().unwrap();
    let folder = Folder::new();
    let file = folder.file("checkpoint");
    toy::search(space.as_ref(), entry, &Plan::new(1), None, &file).unwrap();
    let plan = Plan { seed: 7, ..Plan::new(1) };
    let error = toy::search(space.as_ref(), entry, &plan, None, &file).unwrap_err();
    assert!(matches!(error, SearchError::Checkpoint { .. }), "{error}");
    assert!(error.to_string().contains("seed 1, this one has 7"), "{error}");
}

#[test]
fn the_training_loss_falls() {
    check_learning(pairs());
}

#[test]
fn the_training_loss_falls_of_supernets() {
    check_learning(supernet_pairs());
}

fn check_learning(pairs: impl IntoIterator<Item = Pair>) {
    for (space, entry) in pairs {
        let folder = Folder::new();
        let file = folder.file("checkpoint");
        // Methods that compute everything need four epochs. Methods that draw a path need more, because their loss varies with
        // the draws.
        let plan = Plan { until: Some(0.9), ..Plan::new(32) };
        match toy::search(space.as_ref(), entry, &plan, None, &file) {
            Err(SearchError::Interrupted) => {}
            Err(error) => panic!("{} on {}: {error}", entry.name, space.id()),
            Ok(outcome) => {
                let losses: Vec<f64> = outcome.epochs.iter().map(|e| e.train_loss).collect();
                panic!("{} on {}: {losses:?}", entry.name, space.id());
            }
        }
    }
}

/// A cost that counts how often a search asks for it with a gradient.
struct Counted {
    table: TableCost,
    asked: AtomicUsize,
    priced: AtomicUsize,
}

impl CostModel for Counted {
    fn column(&self) -> &str {
        self.table.column()
    }

    fn unit(&self) -> &str {
        self.table.unit()
    }

    fn cost(&self, architecture: &Architecture) -> Result<f64, PredictError> {
        self.priced.fetch_add(1, Ordering::Relaxed);
        self.table.cost(architecture)
    }

    fn relaxed(&self, gates: &Tensor) -> Result<Tensor, PredictError> {
        self.asked.fetch_add(usize::from(gates.requires_grad()), Ordering::Relaxed);
        self.table.relaxed(gates)
    }
}

#[test]
fn the_cost_does_not_move_the_operation_weights() {
    for (space, entry) in pairs() {
        let (space, folder) = (space.as_ref(), Folder::new());
        let name = format!("{} on {}", entry.name, space.id());
        // Alpha is held fixed, so weights can only differ because of a gradient of the cost itself.
        let mut options = Options::new();
        if !entry.is_sampling && !entry.is_two_stage {
            options.insert("alpha_lr".into(), 0.0.into());
        }
        let plan = Plan { options, ..Plan::new(1) };
        let (asked, priced) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let cost = Counted { table: toy::cost(space), asked, priced };
        let objective =
            Objective::new(space, &cost, Goal::Lambda(1000.0), Estimator::Expected).unwrap();
        let (with, without) = (folder.file("with"), folder.file("without"));
        toy::search(space, entry, &plan, Some(objective), &with).unwrap();
        toy::search(space, entry, &plan, None, &without).unwrap();
        assert!(bits(&with, "net.") == bits(&without, "net."), "{name}");
        // The log itself asks for one price per epoch.
        let used = match entry.is_sampling {
            true => cost.priced.into_inner() > 2,
            false => cost.asked.into_inner() > 0,
        };
        assert_eq!(used, !entry.is_two_stage, "{name} uses the cost unless it only trains");
    }
}

#[test]
fn names_of_methods_are_distinct() {
    let names: std::collections::HashSet<&str> = METHODS.iter().map(|m| m.name).collect();
    assert_eq!(names.len(), METHODS.len());
}

#[test]
fn a_loss_that_is_no_number_stops_the_search_and_keeps_the_last_good_epoch() {
    for entry in METHODS {
        let covered = SPACES.iter().map(|build| build()).filter(|s| entry.covers(s.as_ref()));
        let space = covered.min_by_key(|space| space.size()).unwrap();
        let (space, folder) = (space.as_ref(), Folder::new());
        let file = folder.file("checkpoint");
        // Only whole epochs are saved, so nothing of the second one is. If a method has stages, the second epoch still uses the
        // weights of the first stage.
        let plan = Plan { interrupt: Some((2, 1)), ..Plan::new(6) };
        toy::search(space, entry, &plan, None, &file).unwrap_err();
        let Checkpoint { label, tensors } = Checkpoint::load(&file).unwrap();
        let poisoned = tensors.into_iter().map(|(name, tensor)| {
            let is_weight = name.starts_with("net.") && tensor.kind() == tch::Kind::Float;
            (name, if is_weight { tensor * f64::NAN } else { tensor })
        });
        Checkpoint::save(&file, &label, poisoned.collect()).unwrap();
        let before = std::fs::read(&file).unwrap();
        let error = toy::search(space, entry, &Plan::new(6), None, &file).unwrap_err();
        assert!(
            matches!(error, SearchError::NotANumber { epoch: 2, step: 1, .. }),
            "{}: {error}",
            entry.name
        );
        assert!(error.to_string().contains("epoch 2"), "{error}");
        assert!(std::fs::read(&file).unwrap() == before, "{}", entry.name);
    }
}

#[test]
fn images_too_few_for_a_batch_are_refused() {
    for (space, entry) in pairs().chain(supernet_pairs()) {
        let folder = Folder::new();
        let plan = Plan { batch: 500, ..Plan::new(3) };
        let error = toy::search(space.as_ref(), entry, &plan, None, &folder.file("c")).unwrap_err();
        assert!(error.to_string().contains("lower --batch"), "{}: {error}", entry.name);
        assert!(!folder.file("c").exists());
    }
}

/// If the last step of an epoch leaves weights that are useless, they must not be saved.
#[test]
fn an_epoch_that_ends_in_no_number_is_not_saved() {
    let space = SPACES.iter().map(|build| build()).min_by_key(|space| space.size()).unwrap();
    let entry = METHODS.iter().find(|entry| entry.name == "darts").unwrap();
    let folder = Folder::new();
    let file = folder.file("c");
    // One step per epoch with a learning rate that destroys the weights. The loss of the step itself is still a number.
    let options = toml::from_str("lr = 1e30\nclip = 1e30").unwrap();
    let plan = Plan { batch: 32, options, ..Plan::new(2) };
    let error = toy::search(space.as_ref(), entry, &plan, None, &file).unwrap_err();
    let is_valid =
        matches!(error, SearchError::NotANumber { what: "validation loss", epoch: 1, step: 1, .. });
    assert!(is_valid, "{error}");
    assert!(!file.exists());
}
