//! Small things that tests share: a skeleton for every space, 64 images, a search of a few steps, a cost with a known minimum.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use lat::checkpoint::Checkpoint;
use lat::diagnostics::Watch;
use lat::ending::Ending;
use lat::error::SearchError;
use lat::methods::{Method, MethodEntry, Options, Preset};
use lat::objective::Objective;
use lat::search::{EpochReport, Search, SearchEvent, SearchOutcome, SearchSettings};
use lat::spent::Meter;
use lat_data::{Dataset, ImageSet, LoadOptions, find_dataset};
use lat_predictor::TableCost;
use lat_space::{SearchSpace, Skeleton, find_skeleton};
use tch::{Device, Kind, Tensor};

use crate::setup;

/// Images in the training set, half of them for the weights and half for the architecture.
const IMAGES: usize = 64;

/// A skeleton with four channels and three cells on 8x8 images, or the space's own quick skeleton if it cannot build that.
pub(crate) fn skeleton(space: &dyn SearchSpace) -> Skeleton {
    let quick = find_skeleton(space, "quick").unwrap();
    let small = Skeleton { channels: 4, layers: 3, resolution: 8, ..quick };
    if space.check_skeleton(&small).is_ok() { small } else { quick }
}

/// The first handwritten digits.
pub(crate) fn digits() -> &'static Dataset {
    static DIGITS: OnceLock<Dataset> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let whole = find_dataset("digits").unwrap().load(None, &LoadOptions::default()).unwrap();
        let first = |set: &ImageSet| ImageSet {
            pixels: set.pixels[..IMAGES * 3 * set.hw * set.hw].to_vec(),
            labels: set.labels[..IMAGES].to_vec(),
            n: IMAGES,
            ..set.clone()
        };
        Dataset { train: first(&whole.train), test: first(&whole.test), ..whole }
    })
}

/// The settings in which tests vary a search.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) epochs: u32,
    pub(crate) batch: u32,
    pub(crate) seed: u64,
    pub(crate) options: Options,
    /// Epoch and step after which the user interrupts.
    pub(crate) interrupt: Option<(u32, usize)>,
    /// The user also interrupts when an epoch's training loss is below this share of the first epoch's.
    pub(crate) until: Option<f64>,
    /// What is recorded between epochs.
    pub(crate) watch: Watch,
    /// Number of architectures that are compared at the end; 1 for no comparison.
    pub(crate) finalists: u32,
    pub(crate) ending: Ending,
    pub(crate) more_targets: Vec<f64>,
}

impl Plan {
    /// A plan with batches of 16, so an epoch has two steps.
    pub(crate) fn new(epochs: u32) -> Self {
        Self {
            epochs,
            batch: 16,
            seed: 1,
            options: Options::new(),
            interrupt: None,
            until: None,
            watch: Watch::OFF,
            finalists: 1,
            ending: Ending::Finalists,
            more_targets: Vec::new(),
        }
    }
}

/// Runs a search on [`digits`], or continues the one in this checkpoint.
pub(crate) fn search(
    space: &dyn SearchSpace,
    entry: &MethodEntry,
    plan: &Plan,
    objective: Option<Objective<'_>>,
    checkpoint: &Path,
) -> Result<SearchOutcome, SearchError> {
    search_on(digits(), space, entry, plan, objective, checkpoint)
}

/// Runs or continues a search on other images.
pub(crate) fn search_on(
    images: &Dataset,
    space: &dyn SearchSpace,
    entry: &MethodEntry,
    plan: &Plan,
    objective: Option<Objective<'_>>,
    checkpoint: &Path,
) -> Result<SearchOutcome, SearchError> {
    search_by((images, |method| method), space, entry, plan, objective, checkpoint)
}

/// Runs or continues a search with the method that `made` makes of the usual one.
pub(crate) fn search_by(
    (images, made): (&Dataset, impl FnOnce(Box<dyn Method>) -> Box<dyn Method>),
    space: &dyn SearchSpace,
    entry: &MethodEntry,
    plan: &Plan,
    objective: Option<Objective<'_>>,
    checkpoint: &Path,
) -> Result<SearchOutcome, SearchError> {
    let settings = SearchSettings {
        space: space.id().into(),
        method: entry.name.into(),
        dataset: images.train.name.clone(),
        images: images.checksum(),
        skeleton: skeleton(space),
        epochs: plan.epochs,
        batch: plan.batch,
        seed: plan.seed,
        goal: "as the test says".into(),
        options: format!("{:?} {}", Preset::Quick, plan.options),
        risk: 0.0,
        finalists: plan.finalists,
        ending: plan.ending,
        bn_rule: "per-batch".into(),
        bn_images: 0,
        steps_goal: String::new(),
        cost_model: None,
    };
    // Locked until the initial weights are drawn; after that a search has its own random numbers.
    let mut generator = Some(setup::exclusive());
    let method = made(entry.build(Preset::Quick, &plan.options, space, plan.seed)?);
    // Each stage draws initial weights, and so does the last step, for the network with which finalists are compared.
    let draws_later = method.n_stages() > 1 || plan.finalists > 1;
    let (device, checkpoint) = (Device::Cpu, checkpoint.to_owned());
    let watch = plan.watch;
    let may_adopt = false;
    let meter = Meter::begin(None);
    let more_targets = plan.more_targets.clone();
    let search = Search {
        space,
        method,
        objective,
        settings,
        device,
        checkpoint,
        watch,
        may_adopt,
        ranks: None,
        more_targets,
        meter,
    };
    let stop = AtomicBool::new(false);
    let mut first_loss = None;
    let mut on_event = |event: SearchEvent<'_>| {
        if !draws_later {
            drop(generator.take());
        }
        if let SearchEvent::Epoch(report) = event {
            let first = *first_loss.get_or_insert(report.train_loss);
            let is_enough = plan.until.is_some_and(|share| report.train_loss < share * first);
            stop.fetch_or(is_enough, Ordering::Relaxed);
        }
        if let SearchEvent::Step(step, _, epoch) = event
            && plan.interrupt == Some((epoch, step))
        {
            stop.store(true, Ordering::Relaxed);
        }
    };
    search.run(images, &stop, &mut on_event)
}

/// The log without the seconds, which differ from run to run.
pub(crate) fn without_seconds(epochs: &[EpochReport]) -> Vec<EpochReport> {
    epochs.iter().map(|e| EpochReport { seconds: 0.0, ..e.clone() }).collect()
}

/// The exact bits of all tensors under a prefix in a checkpoint, by name.
pub(crate) fn bits(checkpoint: &Path, prefix: &str) -> Vec<(String, Vec<u64>)> {
    let saved = Checkpoint::load(checkpoint).unwrap();
    let of_prefix = saved.tensors.into_iter().filter(|(name, _)| name.starts_with(prefix));
    let mut all: Vec<_> = of_prefix.map(|(name, t)| (name, tensor_bits(&t))).collect();
    all.sort();
    assert!(!all.is_empty(), "nothing named {prefix} in {}", checkpoint.display());
    all
}

/// The exact bits of a tensor's values; every `f32` can be converted to `f64` without loss.
pub(crate) fn tensor_bits(tensor: &Tensor) -> Vec<u64> {
    let values = tensor.detach().to_kind(Kind::Double).flatten(0, -1);
    Vec::<f64>::try_from(&values).unwrap().into_iter().map(f64::to_bits).collect()
}

/// A price for each gate: `none` costs nothing, the n other choices of a decision cost 1 to n, in a different order for each
/// decision.
pub(crate) fn prices(space: &dyn SearchSpace) -> Vec<f64> {
    let mut prices = Vec::new();
    for (d, decision) in space.decisions().iter().enumerate() {
        let n = decision.choices.len() - usize::from(decision.none().is_some());
        let mut of_others = (0..n).map(|rank| (1 + (rank + d) % n) as f64);
        for choice in 0..decision.choices.len() {
            let is_none = Some(choice) == decision.none();
            prices.push(if is_none { 0.0 } else { of_others.next().unwrap() });
        }
    }
    prices
}

/// The cost that adds up [`prices`], plus 2 ms for the part of the network that is not searched.
pub(crate) fn cost(space: &dyn SearchSpace) -> TableCost {
    TableCost::new(space, "latency_ms", 2.0, prices(space)).unwrap()
}
