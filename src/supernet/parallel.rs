//! A supernet that several processes train together, each on its share of every batch.

use std::collections::HashSet;
use std::rc::Rc;

use lat_device::{DeviceError, ProcessGroup};
use lat_nn::{MeanOverRanks, NnError, StaticNet, on_rank, synchronised};
use lat_space::{Architecture, ChoiceSet, DecisionId, Graph};
use tch::{Kind, Tensor, nn};

use super::{BuildMixedOp, Gating, Supernet};
use crate::batches::Batch;

/// The processes that work on one search. All draw the same random numbers, so they sample the same subnets; each sees its own rows
/// of a batch, and steps along the average of all gradients.
#[derive(Debug, Clone)]
pub struct Ranks {
    group: Rc<ProcessGroup>,
    sync_bn: bool,
}

impl Ranks {
    /// Ranks of this group. With `sync_bn` batch norm uses the statistics of the whole batch, else those of each process's share.
    pub fn new(group: ProcessGroup, sync_bn: bool) -> Self {
        Self { group: Rc::new(group), sync_bn }
    }

    /// Whether this is the process that writes and prints.
    pub fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    /// Number of processes.
    pub fn size(&self) -> u32 {
        self.group.size().unsigned_abs()
    }

    /// Why an exchange between processes failed; None if none failed.
    pub(crate) fn failure(&self) -> Option<DeviceError> {
        self.group.failure()
    }

    /// This process's rows of a batch, the same rows of each view. Rows left over by the division among processes are dropped.
    pub fn share(&self, batch: &Batch) -> Batch {
        let all = batch.labels.size()[0];
        let n = all / i64::from(self.group.size());
        let begin = n * i64::from(self.group.rank());
        let views: Vec<Tensor> =
            batch.views().iter().map(|view| view.narrow(0, begin, n)).collect();
        Batch { images: Tensor::cat(&views, 0), labels: batch.labels.narrow(0, begin, n) }
    }

    /// Averages over all processes of numbers that each of them has.
    ///
    /// # Errors
    /// [`DeviceError::Ranks`] if a process is gone or too late.
    pub(crate) fn means(&self, numbers: &[f64]) -> Result<Vec<f64>, DeviceError> {
        let found = self.group.means(&[Tensor::from_slice(numbers)])?;
        Ok(Vec::try_from(&found[0]).expect("one dimension"))
    }

    /// Copies rank 0's numbers to all processes.
    ///
    /// # Errors
    /// The errors of [`Ranks::means`].
    pub(crate) fn settle(&self, numbers: &[Tensor]) -> Result<(), DeviceError> {
        self.group.broadcast(numbers)
    }

    /// Gives all processes the average of their batch norm statistics.
    ///
    /// # Errors
    /// The errors of [`Ranks::means`].
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

    /// Wraps a supernet so that this process trains its part of it.
    pub fn over<N>(&self, net: N) -> Parallel<N> {
        Parallel { net, ranks: self.clone() }
    }
}

/// Tensors of a store in the order of their names, which is the same order in all processes.
pub(crate) fn sorted(store: &nn::VarStore, is_wanted: impl Fn(&Tensor) -> bool) -> Vec<Tensor> {
    let mut named: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(_, tensor)| tensor).filter(is_wanted).collect()
}

/// A supernet as one of several processes trains it: it computes on this process's images, and its gradients are averages over all
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
        // The search later asks the group for the reason of the failure.
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

    /// Averages over all processes. A tensor that took part in only some of them counts as 0 in the others. The processes first
    /// agree on which tensors took part, so that the others need not be sent.
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
