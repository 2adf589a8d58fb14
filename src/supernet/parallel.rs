//! A supernet that several processes train together, each on its share of every batch.

use std::collections::HashSet;
use std::rc::Rc;

use lat_device::{DeviceError, ProcessGroup};
use lat_nn::{MeanOverRanks, NnError, StaticNet, on_rank, synchronised};
use lat_space::{Architecture, ChoiceSet, DecisionId, Graph};
use tch::{Kind, Tensor, nn};

use super::{BuildMixedOp, Gating, Supernet};
use crate::batches::Batch;

/// The processes that work on one search. All draw the same from their generators, so that they sample the same sub-networks; each
/// sees its own rows of a batch, and steps by the mean of all gradients.
#[derive(Debug, Clone)]
pub struct Ranks {
    group: Rc<ProcessGroup>,
    sync_bn: bool,
}

impl Ranks {
    /// `sync_bn`: whether batch norm goes by the statistics of the whole batch, else by those of each process's share.
    pub fn new(group: ProcessGroup, sync_bn: bool) -> Self {
        Self { group: Rc::new(group), sync_bn }
    }

    /// Whether this is the one that writes and prints.
    pub fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.group.size().unsigned_abs()
    }

    /// Why an exchange failed, where one did.
    pub(crate) fn failure(&self) -> Option<DeviceError> {
        self.group.failure()
    }

    /// This process's rows of a batch, of each view the same; what does not divide by the number of processes is left out.
    pub fn share(&self, batch: &Batch) -> Batch {
        let all = batch.labels.size()[0];
        let n = all / i64::from(self.group.size());
        let begin = n * i64::from(self.group.rank());
        let views: Vec<Tensor> =
            batch.views().iter().map(|view| view.narrow(0, begin, n)).collect();
        Batch { images: Tensor::cat(&views, 0), labels: batch.labels.narrow(0, begin, n) }
    }

    /// Means over all processes of numbers that each has.
    ///
    /// # Errors
    /// [`DeviceError::Ranks`] where a process is gone or too late.
    pub(crate) fn means(&self, numbers: &[f64]) -> Result<Vec<f64>, DeviceError> {
        let found = self.group.means(&[Tensor::from_slice(numbers)])?;
        Ok(Vec::try_from(&found[0]).expect("one dimension"))
    }

    /// Gives all processes rank 0's numbers.
    ///
    /// # Errors
    /// As [`Ranks::means`].
    pub(crate) fn settle(&self, numbers: &[Tensor]) -> Result<(), DeviceError> {
        self.group.broadcast(numbers)
    }

    /// Gives all processes the mean of their batch norms' statistics.
    ///
    /// # Errors
    /// As [`Ranks::means`].
    pub(crate) fn settle_statistics(&self, net: &dyn Supernet) -> Result<(), DeviceError> {
        let statistics = sorted(net.weights(), |tensor| !tensor.requires_grad());
        let means = self.group.means(&statistics)?;
        tch::no_grad(|| {
            for (own, mean) in statistics.iter().zip(&means) {
                own.shallow_clone().copy_(mean);
            }
        });
        Ok(())
    }

    /// What this process trains of the supernet.
    pub fn over<N>(&self, net: N) -> Parallel<N> {
        Parallel { net, ranks: self.clone() }
    }
}

/// Tensors of a store in the order of their names, which is the same in all processes.
pub(crate) fn sorted(store: &nn::VarStore, is_wanted: impl Fn(&Tensor) -> bool) -> Vec<Tensor> {
    let mut named: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, tensor)| tensor).filter(is_wanted).collect()
}

/// A process's part in the training of a supernet: what it computes of its own images, and gradients that are means over all
/// processes.
#[derive(Debug)]
pub struct Parallel<N> {
    net: N,
    ranks: Ranks,
}

impl<N> Parallel<N> {
    fn pass<T>(&self, train: bool, pass: impl FnOnce() -> T) -> T {
        let group = &self.ranks.group;
        let pass = || on_rank(group.rank().into(), group.size().into(), pass);
        if !(train && self.ranks.sync_bn) {
            return pass();
        }
        let ranks: Rc<dyn MeanOverRanks> = Rc::<ProcessGroup>::clone(group);
        synchronised(&ranks, pass)
    }

    fn means(&self, of: &[Tensor]) -> Vec<Tensor> {
        // The search asks the group what this was.
        self.ranks.group.means(of).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<N> Supernet for Parallel<N>
where
    N: std::ops::Deref + std::fmt::Debug,
    N::Target: Supernet,
{
    fn forward_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.pass(train, || self.net.forward_t(images, gates, train))
    }

    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        self.pass(train, || self.net.features_t(images, gates, train))
    }

    fn width(&self) -> i64 {
        self.net.width()
    }

    fn classify(&self, features: &Tensor) -> Tensor {
        self.net.classify(features)
    }

    fn used(&self, gates: &dyn Gating) -> HashSet<String> {
        self.net.used(gates)
    }

    fn twin(&self, mixed_op: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
        Ok(Box::new(self.ranks.over(self.net.twin(mixed_op)?)))
    }

    /// Means over all processes. A tensor that took part in some of them alone counts as 0 in the others; which these are is asked
    /// first, so that what rests does not travel.
    fn gradients(&self, loss: &Tensor, of: &[Tensor]) -> Vec<Tensor> {
        let mut own = self.net.gradients(loss, of);
        let has = |gradient: &Tensor| f32::from(u8::from(gradient.defined()));
        let has: Vec<f32> = own.iter().map(has).collect();
        let has = self.means(&[Tensor::from_slice(&has)]).remove(0);
        let has = Vec::<f32>::try_from(&has).expect("one dimension");
        let moved: Vec<usize> = (0..of.len()).filter(|&i| has[i] > 0.0).collect();
        let gradient = |&i: &usize| {
            if own[i].defined() { own[i].shallow_clone() } else { of[i].zeros_like() }
        };
        let means = self.means(&moved.iter().map(gradient).collect::<Vec<_>>());
        for (i, mean) in moved.into_iter().zip(means) {
            own[i] = mean;
        }
        own
    }

    fn mean_over_ranks(&self, number: &Tensor) -> Tensor {
        self.means(&[number.to_kind(Kind::Double)]).remove(0)
    }

    fn n_ranks(&self) -> u32 {
        self.ranks.size()
    }

    fn extract(&self, architecture: &Architecture) -> Result<StaticNet, NnError> {
        self.net.extract(architecture)
    }

    fn weights(&self) -> &nn::VarStore {
        self.net.weights()
    }

    fn sites(&self) -> Vec<(DecisionId, u16)> {
        self.net.sites()
    }

    fn graph(&self) -> &Graph {
        self.net.graph()
    }

    fn sort_channels(&self, trained: &[ChoiceSet]) {
        self.net.sort_channels(trained);
    }

    fn silence_residuals(&self) {
        self.net.silence_residuals();
    }
}
