//! Once-for-All: Train One Network and Specialize it for Efficient Deployment. Cai, Gan, Wang, Zhang, Han, ICLR 2020, arXiv 1908.09791.
//! Reference: <https://github.com/mit-han-lab/once-for-all>, `train_ofa_net.py` and `elastic_nn/training/progressive_shrinking.py`.
//!
//! The largest network is trained first; afterwards a frozen copy of it is the teacher. Kernels, depths and widths shrink one after
//! the other: sub-networks are drawn from growing lists of choices, the largest first. Before widths shrink, channels are sorted by
//! importance.
//!
//! Deviations: phases are shares of the search's steps, in the proportions of the reference's epochs (the teacher's 180 are from
//! memory), so that they also fit into few epochs; each starts without momentum and has a cosine of its own. On one device the
//! reference's warm-up is constant, here it is part of the cosine. A phase that shrinks nothing in a space is left out. If
//! operations are chosen, they shrink together with the kernels; all channels that are cut shrink together with the expansions, but
//! only those within blocks are sorted. If there are more than three choices, the first of two phases draws the two largest. The
//! teacher is trained without dropout. All sub-networks of a step have the same image size, drawn by the method's generator instead
//! of seeds computed from the step's number. The quick preset spends fewer steps on the teacher and shrinks at higher rates.

mod phases;

use lat_nn::{BnRule, DropPath, Regularisation, StaticNet, regularised, resize, unremembered};
use lat_space::{Graph, Step};

use super::tools::distillation::soft_cross_entropy;
use super::tools::needs::SHRINKS;
use super::tools::prelude::*;
use super::tools::sandwich::Ends;
use super::tools::subnets;
use crate::optimizer::cosine;
use phases::{N_PHASES, Phases};

pub(super) const ENTRY: MethodEntry = MethodEntry::of::<Config>(
    "ofa",
    "supernet by progressive shrinking: largest network first, then kernels, depths and widths, taught by it",
    "Once-for-All: Train One Network and Specialize it for Efficient Deployment, 2020, arXiv 1908.09791",
    [(24, 64), (605, 64)],
)
.two_stage(SHRINKS);

/// The options for `--set`. Lists have one number per phase: teacher, kernels, depths (two phases), widths (two phases).
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    /// For the teacher's phase.
    #[serde(flatten)]
    weights: WeightConfig,
    /// Proportions in which the phases share the steps.
    shares: Vec<f64>,
    /// Factor of the learning rate in each phase.
    rates: Vec<f64>,
    /// Sub-networks per step.
    subnets: Vec<u32>,
    /// Factor of the teacher's term in the loss.
    distill: f64,
    /// After the teacher's phase: probability that an entry of the classifier's input is zeroed.
    dropout: f64,
}

impl Settings for Config {
    fn paper(_: &dyn SearchSpace) -> Self {
        let weights = WeightConfig {
            lr: 0.03,
            lr_min: 0.0,
            momentum: 0.9,
            nesterov: true,
            decay: 3e-5,
            clip: f64::INFINITY,
            label_smoothing: 0.1,
        };
        let (slow, middling) = (2.5e-3 / 0.03, 7.5e-3 / 0.03);
        Self {
            weights,
            shares: vec![180.0, 125.0, 25.0, 125.0, 25.0, 125.0],
            rates: vec![1.0, 1.0, slow, middling, slow, middling],
            subnets: vec![1, 1, 2, 2, 4, 4],
            distill: 1.0,
            dropout: 0.1,
        }
    }

    fn quick(_: &dyn SearchSpace) -> Options {
        toml! {
            lr = 0.05
            clip = 5.0
            dropout = 0.0
            shares = [3.0, 2.0, 1.0, 2.0, 1.0, 2.0]
            rates = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
        }
    }

    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        let lists = [("shares", &self.shares), ("rates", &self.rates)];
        let lengths = lists.map(|(name, list)| (name, list.len()));
        for (name, n) in lengths.into_iter().chain([("subnets", self.subnets.len())]) {
            ensure(n == N_PHASES, || format!("{name} of {N_PHASES} numbers, found {n}"))?;
        }
        for (name, list) in lists {
            ensure(list.iter().all(|&number| number > 0.0), || {
                format!("{name} of numbers above 0, found {list:?}")
            })?;
        }
        let Self { subnets, distill, .. } = self;
        ensure(subnets.iter().all(|&n| n >= 1), || {
            format!("subnets of at least 1, found {subnets:?}")
        })?;
        ensure(*distill >= 0.0, || format!("distill of at least 0, found {distill}"))
    }

    fn build(self, space: &dyn SearchSpace, _seed: u64) -> Result<Box<dyn Method>> {
        let mut core = Core::of_subnets(space.decisions(), self.weights);
        core.keep(PHASE, Tensor::from(0i64));
        core.keep(TEACHER, Tensor::from_slice::<f32>(&[]));
        let (ends, uniform) = (Ends::default(), Relaxed::uniform(space));
        Ok(Box::new(Ofa { core, config: self, ends, uniform, phases: None, teacher: None }))
    }
}

/// Name of the state entry with the index of the last step's phase.
const PHASE: &str = "phase";
/// Name of the state entry with the teacher's weights, flattened and in the order of their names; empty during the teacher's own phase.
const TEACHER: &str = "teacher";

#[derive(Debug)]
struct Ofa {
    core: Core,
    config: Config,
    ends: Ends,
    uniform: Relaxed,
    /// Determined at the first step.
    phases: Option<Phases>,
    /// Rebuilt from the saved weights at the first step that needs it.
    teacher: Option<StaticNet>,
}

impl Ofa {
    fn phase(&self) -> usize {
        // There are few phases, so the number fits.
        self.core.kept(PHASE).int64_value(&[]) as usize
    }

    /// Prepares every phase after the first: keeps the frozen copy, sorts channels, resets the momentum.
    fn turn(&mut self, net: &dyn Supernet, phases: &Phases, next: usize) -> Result<()> {
        if next == 1 {
            self.core.keep(TEACHER, numbers(&net.extract(&phases.largest)?));
        }
        if phases.all[next].sorts {
            net.sort_channels(&phases.all[next - 1].live);
        }
        self.core.weights.rest();
        self.core.keep(PHASE, Tensor::from(next as i64));
        Ok(())
    }

    /// Logits of the frozen largest network for the images, with the batch's own BN statistics as in training.
    fn taught(
        &mut self,
        cx: &Context<'_, '_>,
        largest: &Architecture,
        images: &Tensor,
    ) -> Result<Tensor> {
        let teacher = match self.teacher.take() {
            Some(teacher) => teacher,
            None => restored(cx.net.extract(largest)?, self.core.kept(TEACHER)),
        };
        let answer = || teacher.forward_t(images, true, DropPath::OFF).main;
        let logits = tch::no_grad(|| unremembered(answer));
        self.teacher = Some(teacher);
        Ok(logits)
    }

    /// Computes losses and gradients of one step's networks, on the labels and on the teacher's answers (if there is a teacher).
    fn shrink(
        &mut self,
        cx: &mut Context<'_, '_>,
        batch: &Batch,
        taught: Option<&Tensor>,
        networks: &[Architecture],
    ) -> (StepReport, Vec<Tensor>) {
        let (mut gradients, mut losses, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        for network in networks {
            let gates = self.core.hard(network);
            let dropout = if taught.is_some() { self.config.dropout } else { 0.0 };
            let regularisation =
                Regularisation { dropout, drop_connect: 0.0, seed: cx.rng.next_u64() };
            let forward = || cx.net.forward_t(&batch.images, &gates, true);
            let logits = regularised(regularisation, forward);
            let soft = taught.map(|teacher| soft_cross_entropy(&logits, teacher));
            let hard = self.core.weights.loss_of(logits, batch);
            let whole = match soft {
                Some(soft) => &hard.value + soft * self.config.distill,
                None => hard.value.shallow_clone(),
            };
            gradients = self.core.weights.add_gradients(cx.net, &whole, gradients);
            losses.push(hard.value.detach());
            hits.push(hard.n_correct());
        }
        let mean = |all: &[Tensor]| DeviceScalar::of(&Tensor::stack(all, 0).mean(Kind::Double));
        let report =
            StepReport { train_loss: mean(&losses), n_correct: mean(&hits), valid_loss: None };
        (report, gradients)
    }
}

/// All weights of a network, flattened, in the order of their names.
fn numbers(net: &StaticNet) -> Tensor {
    let all: Vec<Tensor> = ordered(net).iter().map(|t| t.detach().flatten(0, -1)).collect();
    Tensor::cat(&all, 0)
}

/// The network with these weights.
fn restored(net: StaticNet, numbers: &Tensor) -> StaticNet {
    let mut first = 0;
    for tensor in ordered(&net) {
        let n = tensor.numel() as i64;
        let own = numbers.narrow(0, first, n).view(tensor.size().as_slice());
        tch::no_grad(|| tensor.shallow_clone().copy_(&own));
        first += n;
    }
    net
}

fn ordered(net: &StaticNet) -> Vec<Tensor> {
    let mut named: Vec<(String, Tensor)> = net.weights().variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, tensor)| tensor).collect()
}

/// The images resized to the size that the architecture uses.
fn sized(graph: &Graph, architecture: &Architecture, images: &Tensor) -> Tensor {
    let size = graph.nodes.iter().find_map(|node| match &node.step {
        Step::Resize { decision, hw, by, .. } => {
            architecture.choices[*decision].only().map(|c| (hw[c], *by))
        }
        _ => None,
    });
    size.map_or_else(|| images.shallow_clone(), |(hw, by)| resize(images, hw, by))
}

impl Method for Ofa {
    fn core(&self) -> &Core {
        &self.core
    }

    fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    fn bn_rule(&self) -> BnRule {
        BnRule::PerImage
    }

    fn initialise(&self, space: &dyn SearchSpace, net: &dyn Supernet) {
        self.ends.of(space, net.graph());
    }

    fn step(&mut self, cx: &mut Context<'_, '_>, batches: &Batches) -> Result<StepReport> {
        let phases = self.phases.take().unwrap_or_else(|| {
            let largest = self.ends.of(cx.space, cx.net.graph()).largest.clone();
            Phases::of(cx.space, cx.net.graph(), largest, &self.config.shares)
        });
        let now = phases.at(cx.progress);
        for next in self.phase() + 1..=now {
            self.turn(cx.net, &phases, next)?;
        }
        let phase = &phases.all[now];
        let n = self.config.subnets[phase.number];
        let mut networks: Vec<Architecture> =
            (0..n).map(|_| subnets::drawn(cx.space.id(), &phase.live, cx.rng)).collect();
        let first = networks[0].choices.clone();
        for network in &mut networks {
            phases.sizes.iter().for_each(|&d| network.choices[d] = first[d]);
        }
        let images = sized(cx.net.graph(), &networks[0], &batches.train.images);
        let taught = match now {
            0 => None,
            _ => Some(self.taught(cx, &phases.largest, &images)?),
        };
        let (report, gradients) = self.shrink(cx, &batches.train, taught.as_ref(), &networks);
        let WeightConfig { lr, lr_min, clip, .. } = self.config.weights;
        let rate = self.config.rates[phase.number];
        let lr = rate * cosine(lr, lr_min, phase.progress(cx.progress));
        self.core.weights.move_at(&gradients, lr, clip);
        self.phases = Some(phases);
        Ok(report)
    }

    fn sees_cost(&self) -> bool {
        false
    }

    fn relaxed(&self) -> Relaxed {
        self.uniform.shallow_clone()
    }

    fn derive(&self, space: &dyn SearchSpace) -> Architecture {
        self.ends.largest(space)
    }
}
