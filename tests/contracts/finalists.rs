//! Contracts of a search's last step: what is named keeps to its goal, whatever the method.

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

/// A search of one epoch with this goal, met by finalists.
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

        // From the checkpoint of the search without a cost, whose steps it shares.
        std::fs::copy(file("free"), file("above")).unwrap();
        let above = search(space, entry, &cost, Goal::Target(1.01 * found), &file("above"));
        assert_eq!(above.architecture, free.architecture, "{name}");
        let target = 0.8 * found;
        let below = search(space, entry, &cost, Goal::Target(target), &file("below"));
        let met = price(&below) / target;
        assert!(met <= 1.0001, "{name}: {met} of the target");
        // A method that derives several operations per edge (EnTranNAS-DST) may have nothing in between.
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
        // From the checkpoint, so that nothing but the last step differs; without a cost finalists are compared all the same.
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
