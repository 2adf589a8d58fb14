//! Workloads: something that can be run and waited for.

use std::sync::Arc;

use lat_device::allocator::{self, AllocatedPeak};
use lat_nn::{StaticNet, WeightArena, guard};
use lat_space::{Graph, count, peak_memory_bytes};
use tch::{Device, Tensor};

use crate::ProfileError;

/// Number of runs before memory is measured: in the first run, libraries try algorithms, with workspaces that later runs do not
/// need.
const RUNS_BEFORE_MEMORY: u32 = 1;

/// Something that can be run and waited for.
pub trait Workload {
    /// Starts one run. On a GPU it returns before the run has ended.
    ///
    /// # Errors
    /// Errors that the network or libtorch reports.
    fn enqueue(&mut self) -> Result<(), ProfileError>;

    /// Waits until everything that was enqueued has ended.
    ///
    /// # Errors
    /// Errors of the device that only appear now.
    fn synchronize(&mut self) -> Result<(), ProfileError>;

    /// Bytes of weights, and of activations at their peak, if known: on a GPU from its allocator during one of the runs,
    /// elsewhere counted.
    fn peak_memory_bytes(&self) -> Option<u64> {
        None
    }

    /// Whether the process has run all its layers' shapes before. Then algorithms are picked and libraries loaded, and one or two
    /// warm-up runs are enough.
    fn is_tuned(&self) -> bool {
        false
    }
}

/// Several passes of a workload as one run, for workloads so short that a single pass cannot be timed.
pub(crate) struct Passes<'a> {
    pub(crate) of: &'a mut dyn Workload,
    pub(crate) n: u32,
}

impl Workload for Passes<'_> {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        (0..self.n).try_for_each(|_| self.of.enqueue())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        self.of.synchronize()
    }
}

/// A network in evaluation mode with one batch of images.
#[derive(Debug)]
pub struct NetWorkload {
    net: StaticNet,
    input: Tensor,
    is_tuned: bool,
    n_runs: u32,
    /// Bytes of GPU memory that one run needed at its peak, without weights and input.
    run_bytes: Option<u64>,
}

impl NetWorkload {
    /// The network of a derived graph with weights from the arena, and `input` `[n, 3, resolution, resolution]` in the arena's
    /// format.
    ///
    /// # Errors
    /// [`ProfileError::Network`] if the network cannot be built (memory).
    pub fn new(
        graph: &Graph,
        arena: &Arc<WeightArena>,
        input: &Tensor,
    ) -> Result<Self, ProfileError> {
        let n_known = arena.len();
        let net = StaticNet::for_timing(graph, arena)?;
        // No shape of weight is new, so earlier networks had these layers. Only on a GPU are algorithms picked by trying them.
        let is_tuned = input.device().is_cuda() && arena.len() == n_known;
        let input = input.shallow_clone();
        Ok(Self { net, input, is_tuned, n_runs: 0, run_bytes: None })
    }

    /// A network with weights of its own, and `input` on its device and in its format.
    pub(crate) fn of(net: StaticNet, input: Tensor) -> Self {
        Self { net, input, is_tuned: false, n_runs: 0, run_bytes: None }
    }

    /// Bytes of this many numbers in the network's format.
    fn bytes_of(&self, numbers: u64) -> u64 {
        numbers * self.input.kind().elt_size_in_bytes() as u64
    }

    /// The memory counted over the graph.
    fn counted_bytes(&self) -> Option<u64> {
        let batch = u32::try_from(self.input.size()[0]).ok()?;
        Some(peak_memory_bytes(self.net.graph(), batch, self.bytes_of(1) as u32))
    }

    /// Watches the allocator during the first run (after the very first one) that is not disturbed by another thread's
    /// allocations.
    fn watch_memory(&self) -> Option<AllocatedPeak> {
        match self.input.device() {
            Device::Cuda(ordinal)
                if self.run_bytes.is_none() && self.n_runs > RUNS_BEFORE_MEMORY =>
            {
                AllocatedPeak::begin(ordinal as u32)
            }
            _ => None,
        }
    }
}

impl Workload for NetWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        self.n_runs = self.n_runs.saturating_add(1);
        let memory = self.watch_memory();
        tch::no_grad(|| self.net.forward(&self.input)).map(drop)?;
        // A run's memory is given back when its call returns, whether or not the GPU has reached it.
        self.run_bytes = self.run_bytes.or_else(|| memory?.grown_bytes());
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        if let Device::Cuda(ordinal) = self.input.device() {
            guard(|| tch::Cuda::synchronize(ordinal as i64))?;
        }
        Ok(())
    }

    fn peak_memory_bytes(&self) -> Option<u64> {
        if !self.input.device().is_cuda() || !allocator::is_registered() {
            return self.counted_bytes();
        }
        let held = count(self.net.graph()).params + self.input.numel() as u64;
        self.run_bytes.map(|run| run + self.bytes_of(held))
    }

    fn is_tuned(&self) -> bool {
        self.is_tuned
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{Skeleton, find_skeleton, find_space};
    use tch::Kind;

    use super::*;
    use crate::{CpuStopwatch, Stopwatch};

    fn graph() -> (Graph, Skeleton) {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        (space.graph(&skeleton).derive(&space.at(9_000)).without_auxiliary(), skeleton)
    }

    #[test]
    fn a_network_takes_time() {
        let (graph, skeleton) = graph();
        for kind in [Kind::Float, Kind::BFloat16] {
            for channels_last in [false, true] {
                let arena = WeightArena::new(Device::Cpu, kind, channels_last);
                let input = arena.images(2, skeleton.resolution).unwrap();
                let mut work = NetWorkload::new(&graph, &arena, &input).unwrap();
                let time_ms = CpuStopwatch::default().time_ms(&mut work).unwrap();
                assert!(time_ms > 0.0 && time_ms < 10_000.0, "{time_ms} ms");
            }
        }
    }

    #[test]
    fn an_input_of_another_shape_is_an_error() {
        let input = Tensor::zeros([2, 5, 8, 8], (Kind::Float, Device::Cpu));
        let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
        let mut work = NetWorkload::new(&graph().0, &arena, &input).unwrap();
        assert!(matches!(work.enqueue(), Err(ProfileError::Network(_))));
    }
}
