//! Stages of a search: the weights with which a stage begins.

use std::sync::{Arc, Mutex};

use lat::error::SearchError;
use lat::methods::{Batches, Context, Core, Method, Stage, StepReport, find_method};
use lat_space::NasBench201;
use tch::Tensor;

use crate::toy::{self, Plan};

type Weights = Vec<(String, Tensor)>;

/// Another method in two stages. It keeps the weights after its last step, and those before the first step of each stage.
#[derive(Debug)]
struct Staged {
    inner: Box<dyn Method>,
    keeps_weights: bool,
    stage: usize,
    seen: Arc<Mutex<Vec<(usize, Weights)>>>,
}

fn copies(cx: &Context<'_, '_>) -> Weights {
    let all = cx.net.weights().variables();
    let mut copies: Weights = all.into_iter().map(|(name, w)| (name, w.detach().copy())).collect();
    copies.sort_by(|a, b| a.0.cmp(&b.0));
    copies
}

impl Method for Staged {
    fn core(&self) -> &Core {
        self.inner.core()
    }

    fn core_mut(&mut self) -> &mut Core {
        self.inner.core_mut()
    }

    fn step(
        &mut self,
        cx: &mut Context<'_, '_>,
        batches: &Batches,
    ) -> Result<StepReport, SearchError> {
        let before = copies(cx);
        let report = self.inner.step(cx, batches)?;
        self.seen.lock().unwrap().extend([(self.stage, before), (self.stage, copies(cx))]);
        Ok(report)
    }

    fn n_stages(&self) -> usize {
        2
    }

    fn stage(&self, number: usize) -> Stage {
        Stage { keeps_weights: self.keeps_weights, ..Stage::of_whole(number) }
    }

    fn enter(&mut self, stage: &Stage) {
        self.stage = stage.number;
    }
}

/// Names of the weights that differ between the end of the first stage and the begin of the second, and the number of all
/// weights.
fn changed(keeps_weights: bool) -> (Vec<String>, usize) {
    let space = NasBench201::new();
    let seen = Arc::default();
    let made = |inner: Box<dyn Method>| -> Box<dyn Method> {
        Box::new(Staged { inner, keeps_weights, stage: 0, seen: Arc::clone(&seen) })
    };
    let entry = find_method("gdas").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoint");
    let images = toy::digits();
    toy::search_by((images, made), &space, entry, &Plan::new(2), None, &file).unwrap();
    let seen = seen.lock().unwrap();
    let last = &seen.iter().rfind(|(stage, _)| *stage == 0).unwrap().1;
    let first = &seen.iter().find(|(stage, _)| *stage == 1).unwrap().1;
    let differs = |(a, b): &(&(String, Tensor), &(String, Tensor))| a.1 != b.1;
    let names = last.iter().zip(first).filter(differs).map(|(a, _)| a.0.clone());
    (names.collect(), last.len())
}

#[test]
fn a_stage_begins_anew_or_keeps_its_weights_as_its_method_says() {
    let (names, n) = changed(true);
    assert!(n > 100 && names.is_empty(), "{names:?}");
    let (names, _) = changed(false);
    assert!(names.len() > n / 3, "{} of {n} differ", names.len());
}
