//! Contracts of a search's last step: the architecture that it returns fulfils the goal, whatever the method.

use lat::ending::Ending;
use lat::finalists::Finals;
use lat::methods::{METHODS, MethodEntry, learns};
use lat::objective::{Estimator, Goal, Objective};
use lat::search::SearchOutcome;
use lat_predictor::{CostModel, TableCost};
use lat_space::{Group, SPACES, SearchSpace};

use super::methods::pairs;
use crate::toy::{self, Plan, bits};

const ESTIMATOR: Estimator = Estimator::StraightThrough;

fn plan(finalists: u32) -> Plan {
    Plan { finalists, ..Plan::new(1) }
}

/// A search of one epoch with this goal, whose last step compares finalists.
fn search(
    space: &dyn SearchSpace,
    entry: &MethodEntry,
    cost: &TableCost,
    goal: Goal,
    file: &std::path::Path,
) -> SearchOutcome {
    let objective = Objective::new(space, cost, goal, ESTIMATOR).unwrap().with_finalists();
    toy::search(space, entry, &plan(24), Some(objective), file).unwrap()
}

#[test]
fn targets_are_met_and_change_nothing_where_the_search_meets_them_by_itself() {
    for entry in METHODS.iter().filter(|entry| !entry.is_two_stage) {
        let covered = SPACES.iter().map(|build| build()).filter(|s| entry.covers(s.as_ref()));
        let space = covered.min_by_key(|space| space.size()).unwrap();
        let (space, folder) = (space.as_ref(), tempfile::tempdir().unwrap());
        let name = format!("{} on {}", entry.name, space.id());
        let (cost, file) = (toy::cost(space), |name: &str| folder.path().join(name));
        let free = search(space, entry, &cost, Goal::Lambda(0.0), &file("free"));
        let Finals { free_cost: Some(found), budget: None, .. } = free.finals else {
            panic!("{name}: {:?}", free.finals)
        };
        let price = |outcome: &SearchOutcome| cost.cost(&outcome.architecture).unwrap();
        assert!((price(&free) - found).abs() < 1e-3 * found, "{name}");
        assert!(learns(space, &free.architecture), "{name}");

        // Begins from the checkpoint of the search without a cost, because the steps are the same.
        std::fs::copy(file("free"), file("above")).unwrap();
        let above = search(space, entry, &cost, Goal::Target(1.01 * found), &file("above"));
        assert_eq!(above.architecture, free.architecture, "{name}");
        let target = 0.8 * found;
        let below = search(space, entry, &cost, Goal::Target(target), &file("below"));
        let met = price(&below) / target;
        assert!(met <= 1.0001, "{name}: {met} of the target");
        // For a method that derives several operations per edge (EnTranNAS-DST) there may be no architecture in between.
        let is_single = free.architecture.choices.iter().all(|c| c.only().is_some());
        let keeps = |g: &Group| {
            let kept = g.decisions.iter().filter(|&&d| {
                space.decisions()[d]
                    .none()
                    .is_none_or(|none| !free.architecture.choices[d].contains(none))
            });
            kept.count() == g.keep
        };
        if is_single && space.groups().iter().all(keeps) {
            assert!(met >= 0.8999, "{name}: {met} of the target");
        }
        assert!(learns(space, &below.architecture), "{name}");
        for part in ["net.", "method."] {
            let same = bits(&file("free"), part) == bits(&file("below"), part);
            assert!(same, "{name}: a target is the finalists' business: {part}");
        }
        let faster = search(space, entry, &cost, Goal::Lambda(0.1), &file("faster"));
        let budget = faster.finals.budget.unwrap();
        let allowed = faster.finals.free_cost.unwrap() / 1.25;
        assert!((budget - allowed).abs() < 1e-6 * allowed, "{name}: a tenth asks for a fifth less");
        assert!(price(&faster) <= 1.0001 * budget, "{name}");
    }
}

#[test]
fn one_finalist_is_the_methods_own_answer() {
    for (space, entry) in pairs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c");
        let found = toy::search(space.as_ref(), entry, &plan(1), None, &file).unwrap();
        assert_eq!(found.architecture, found.most_probable, "{}", entry.name);
        assert!(found.finals.finalists.is_empty());
        // Begins from the checkpoint, so that only the last step differs. Finalists are also compared if there is no cost.
        let several = toy::search(space.as_ref(), entry, &plan(8), None, &file).unwrap();
        assert_eq!(several.most_probable, found.architecture, "{}", entry.name);
        assert_eq!(several.finals.finalists.len(), 8, "{}", entry.name);
    }
}

#[test]
fn a_cost_that_pulls_nowhere_leaves_the_search_as_it_is() {
    for (space, entry) in pairs().filter(|(_, entry)| !entry.is_sampling) {
        let (space, folder) = (space.as_ref(), tempfile::tempdir().unwrap());
        let n_gates = space.decisions().iter().map(|d| d.choices.len()).sum();
        let flat = TableCost::new(space, "latency_ms", 1.0, vec![0.0; n_gates]).unwrap();
        let (with, without) = (folder.path().join("with"), folder.path().join("without"));
        let objective = Objective::new(space, &flat, Goal::Lambda(0.1), ESTIMATOR).unwrap();
        toy::search(space, entry, &Plan::new(1), Some(objective), &with).unwrap();
        toy::search(space, entry, &Plan::new(1), None, &without).unwrap();
        let same = bits(&with, "net.") == bits(&without, "net.");
        assert!(same, "{} on {}: the cost draws for itself", entry.name, space.id());
    }
}

#[test]
fn evolution_among_trained_parts_keeps_to_every_target_and_names_a_front() {
    let entry = METHODS.iter().find(|entry| entry.is_sampling).unwrap();
    let small = SPACES.iter().map(|build| build()).filter(|s| entry.covers(s.as_ref()));
    let space = small.min_by_key(|space| space.size()).unwrap();
    let (space, folder) = (space.as_ref(), tempfile::tempdir().unwrap());
    let cost = toy::cost(space);
    let (_, least) = lat::fastest::fastest(space, &cost).unwrap();
    let run = |name: &str, goal: Goal, more_targets: &[f64], ending: Ending| {
        let objective = Objective::new(space, &cost, goal, ESTIMATOR).unwrap().with_finalists();
        let plan = Plan { ending, more_targets: more_targets.to_vec(), ..plan(24) };
        toy::search(space, entry, &plan, Some(objective), &folder.path().join(name)).unwrap()
    };
    let (tight, loose) = (1.05 * least, 1.5 * least);
    for ending in [Ending::Evolution, Ending::Random] {
        let finals = run("several", Goal::Target(loose), &[tight], ending).finals;
        assert_eq!((finals.budget, finals.answers.len()), (Some(loose), 2));
        for (answer, target) in finals.answers.iter().zip([loose, tight]) {
            assert!(answer.target == target && answer.best.cost.unwrap() <= target, "{answer:?}");
        }
        assert!(finals.answers[0].best.score >= finals.answers[1].best.score);
        assert_eq!(space.format(&finals.winner), finals.answers[0].best.architecture);
        let pairs = finals.front.windows(2);
        assert!(pairs.clone().all(|w| w[0].cost < w[1].cost && w[0].score < w[1].score));
        assert!(finals.finalists.iter().all(|f| f.inherited_accuracy == Some(100.0 * f.score)));
    }
    let by_lambda = run("lambda", Goal::Lambda(0.1), &[], Ending::Evolution).finals;
    let (budget, free) = (by_lambda.budget.unwrap(), by_lambda.free_cost.unwrap());
    assert!((budget - free / 1.25).abs() < 1e-9 * free);
    assert!(cost.cost(&by_lambda.winner).unwrap() <= budget * (1.0 + 1e-6));
    let again = run("again", Goal::Lambda(0.1), &[], Ending::Evolution).finals;
    let told = |finals: &Finals| -> Vec<(String, f64)> {
        finals.finalists.iter().map(|f| (f.architecture.clone(), f.score)).collect()
    };
    assert_eq!(told(&again), told(&by_lambda), "the same seed, the same answer");
}
