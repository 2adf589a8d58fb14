use lat_nn::{StaticNet, guard};
use lat_space::{Graph, Skeleton};
use tch::{Device, Kind, Tensor};

use crate::ProfileError;

/// Something that can be run and waited for.
pub trait Workload {
    /// Starts one run; on a GPU it returns before the run has ended.
    ///
    /// # Errors
    /// What the network or libtorch reports.
    fn enqueue(&mut self) -> Result<(), ProfileError>;

    /// Waits until all that was enqueued has ended.
    ///
    /// # Errors
    /// Errors of the device that only show now.
    fn synchronize(&mut self) -> Result<(), ProfileError>;
}

/// A network in evaluation mode with one batch of images.
#[derive(Debug)]
pub struct NetWorkload {
    net: StaticNet,
    input: Tensor,
}

impl NetWorkload {
    /// The network of a derived graph, with `input` `[n, 3, resolution, resolution]` on the same device.
    ///
    /// # Errors
    /// [`ProfileError::Network`] where the network cannot be built (memory).
    pub fn new(graph: &Graph, input: &Tensor) -> Result<Self, ProfileError> {
        let net = StaticNet::for_timing(graph, input.device())?;
        Ok(Self { net, input: input.shallow_clone() })
    }

    /// A batch of normally distributed images `[batch, 3, resolution, resolution]`, contiguous in that order (channels before
    /// pixels). Zeros would do for dense kernels, but not show the cost of branches on values.
    ///
    /// # Errors
    /// [`ProfileError::Network`] where libtorch cannot allocate it.
    pub fn input(batch: u32, skeleton: &Skeleton, device: Device) -> Result<Tensor, ProfileError> {
        let hw = i64::from(skeleton.resolution);
        let shape = [i64::from(batch), 3, hw, hw];
        Ok(guard(|| Tensor::randn(shape, (Kind::Float, device)))?)
    }
}

impl Workload for NetWorkload {
    fn enqueue(&mut self) -> Result<(), ProfileError> {
        tch::no_grad(|| self.net.forward(&self.input)).map(drop)?;
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), ProfileError> {
        if let Device::Cuda(ordinal) = self.input.device() {
            guard(|| tch::Cuda::synchronize(ordinal as i64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lat_space::{find_skeleton, find_space};

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
        let input = NetWorkload::input(2, &skeleton, Device::Cpu).unwrap();
        assert_eq!(input.size(), [2, 3, 8, 8]);
        let mut work = NetWorkload::new(&graph, &input).unwrap();
        let time_ms = CpuStopwatch.time_ms(&mut work).unwrap();
        assert!(time_ms > 0.0 && time_ms < 10_000.0, "{time_ms} ms");
    }

    #[test]
    fn an_input_of_another_shape_is_an_error() {
        let input = Tensor::zeros([2, 5, 8, 8], (Kind::Float, Device::Cpu));
        let mut work = NetWorkload::new(&graph().0, &input).unwrap();
        assert!(matches!(work.enqueue(), Err(ProfileError::Network(_))));
    }
}
