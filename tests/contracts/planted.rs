//! Every method whose steps choose an architecture finds the one that a task needs, on images and with weights that are learnt.

use lat::methods::{METHODS, MethodEntry, Options};
use lat::objective::{Estimator, Goal, Objective};
use lat_predictor::CostModel;
use lat_space::Space;

use crate::planted_space::{PlantedSpace, RIGHT, stripes};
use crate::toy::{self, Plan};

/// Long enough for methods that draw; an epoch has two steps.
const EPOCHS: u32 = 60;
/// Two of three searches must give the right answer. By chance this happens once in ten times for one method, and never for all
/// of them.
const SEEDS: [u64; 3] = [1, 2, 3];
const NEEDED: usize = 2;

/// `MergeNAS`' own normalisation divides the convolutions' probability out of their output, so the loss cannot show whether they
/// are needed. The option puts it back. The space has only four architectures that read their input, fewer than a random search
/// would compare.
fn options(entry: &MethodEntry) -> Options {
    match entry.name {
        "mergenas" => Options::from_iter([("scaled".to_owned(), true.into())]),
        "random" => Options::from_iter([("candidates".to_owned(), 4.into())]),
        _ => Options::new(),
    }
}

/// The methods whose steps choose an architecture.
fn answering() -> impl Iterator<Item = &'static MethodEntry> {
    METHODS.iter().filter(|entry| !entry.is_two_stage)
}

#[test]
fn every_method_finds_the_planted_answer() {
    let space = PlantedSpace::new();
    let (images, cost) = (stripes(64), space.cost());
    let mut wrong = Vec::new();
    for entry in answering().filter(|entry| entry.covers(&space)) {
        let mut found = Vec::new();
        for seed in SEEDS {
            if found.iter().filter(|f| *f == RIGHT).count() == NEEDED {
                break;
            }
            let goal = Goal::Lambda(0.05);
            let objective = Objective::new(&space, &cost, goal, Estimator::StraightThrough)
                .map(|objective| objective.joining(lat::steering::Joining::Sum));
            let plan = Plan { seed, options: options(entry), ..Plan::new(EPOCHS) };
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("c");
            let end = toy::search_on(&images, &space, entry, &plan, objective.ok(), &file);
            found.push(space.format(&end.unwrap().architecture));
        }
        if found.iter().filter(|f| *f == RIGHT).count() < NEEDED {
            wrong.push(format!("{}: {found:?}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// So the test above shows that the answer is found because of its loss and its cost together.
#[test]
fn the_planted_answer_is_neither_the_cheapest_nor_the_only_one_that_works() {
    let space = PlantedSpace::new();
    let cost = space.cost();
    let price = |text: &str| cost.cost(&space.parse(text).unwrap()).unwrap();
    for cheaper in ["none", "skip_connect", "avg_pool_3x3"] {
        assert!(price(cheaper) < price(RIGHT));
    }
    assert!(price("nor_conv_5x5") > price(RIGHT));
    let n = answering().filter(|entry| entry.covers(&space)).count();
    assert!(n + 2 >= answering().count(), "only {n} methods cover the space");
}
