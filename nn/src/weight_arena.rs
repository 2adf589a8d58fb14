//! Weights in memory that the networks of one run share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::{NnError, guard};

/// Weights for networks that are timed one after another: drawn once, and lent to every network that needs their shape.
///
/// Within one network no tensor is lent twice, so its weights need as much room in caches and memory as they do when it is
/// deployed. Building a network draws and allocates only what no earlier network had, and enqueues no work on a GPU, so it can be
/// built while another one is timed.
#[derive(Debug)]
pub struct WeightArena {
    device: Device,
    kind: Kind,
    channels_last: bool,
    tensors: Mutex<HashMap<Shape, Vec<Tensor>>>,
}

/// The initial content of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fill {
    /// Normal with variance 2/fan-in (He 2015), so that activations neither vanish nor become slow denormal numbers.
    He {
        /// Number of inputs of one output.
        fan_in: i64,
    },
    /// Ones.
    Ones,
    /// Zeros.
    Zeros,
}

/// Tensors with the same size and content can replace each other.
type Shape = (Vec<i64>, Fill);

/// The weights lent to one network.
#[derive(Debug)]
pub struct ArenaLoan {
    arena: Arc<WeightArena>,
    lent: Mutex<HashMap<Shape, usize>>,
}

impl WeightArena {
    /// An empty arena. With `channels_last`, tensors with four dimensions are stored as NHWC.
    pub fn new(device: Device, kind: Kind, channels_last: bool) -> Arc<Self> {
        Arc::new(Self { device, kind, channels_last, tensors: Mutex::default() })
    }

    /// The device of its tensors.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Number format of its tensors.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of tensors in it.
    pub fn len(&self) -> usize {
        self.tensors.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }

    /// Whether it is still empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins to lend weights to a new network.
    pub fn lend(self: &Arc<Self>) -> Arc<ArenaLoan> {
        Arc::new(ArenaLoan { arena: Arc::clone(self), lent: Mutex::default() })
    }

    /// Images `[n, 3, h, w]`, normally distributed, in the arena's format. Zeros would be enough for dense kernels, but would
    /// hide the cost of branches that depend on values.
    ///
    /// # Errors
    /// [`NnError::Torch`] if libtorch cannot allocate them.
    pub fn images(&self, n: u32, hw: u16) -> Result<Tensor, NnError> {
        let dims = [i64::from(n), 3, i64::from(hw), i64::from(hw)];
        guard(|| self.laid_out(&Tensor::randn(dims, (Kind::Float, self.device))))
    }

    fn draw(&self, dims: &[i64], fill: Fill) -> Tensor {
        let options = (Kind::Float, self.device);
        self.laid_out(&match fill {
            Fill::He { fan_in } => Tensor::randn(dims, options) * (2.0 / fan_in as f64).sqrt(),
            Fill::Ones => Tensor::ones(dims, options),
            Fill::Zeros => Tensor::zeros(dims, options),
        })
    }

    fn laid_out(&self, tensor: &Tensor) -> Tensor {
        let tensor = tensor.to_kind(self.kind);
        if self.channels_last && tensor.dim() == 4 { channels_last(&tensor) } else { tensor }
    }
}

/// The tensor `[n, c, h, w]` with channels innermost in memory: `torch.channels_last`, which tch does not offer.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

impl ArenaLoan {
    /// The network's next tensor with this shape; panics as tch does.
    pub(crate) fn tensor(&self, dims: &[i64], fill: Fill) -> Tensor {
        let shape = (dims.to_vec(), fill);
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = lent.entry(shape.clone()).or_default();
        let mut tensors = self.arena.tensors.lock().unwrap_or_else(PoisonError::into_inner);
        let same = tensors.entry(shape).or_default();
        if *place == same.len() {
            same.push(self.arena.draw(dims, fill));
        }
        *place += 1;
        same[*place - 1].shallow_clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILL: Fill = Fill::He { fan_in: 8 };

    #[test]
    fn networks_share_what_they_need_and_no_network_gets_a_tensor_twice() {
        let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
        let (first, second) = (arena.lend(), arena.lend());
        let a = [first.tensor(&[4, 8], FILL), first.tensor(&[4, 8], FILL)];
        let b = [second.tensor(&[4, 8], FILL), second.tensor(&[4, 8], FILL)];
        assert_eq!(arena.len(), 2);
        assert_ne!(a[0].data_ptr(), a[1].data_ptr());
        assert_eq!([a[0].data_ptr(), a[1].data_ptr()], [b[0].data_ptr(), b[1].data_ptr()]);
        let _ones = first.tensor(&[4, 8], Fill::Ones);
        assert_eq!(arena.len(), 3);
    }

    #[test]
    fn channels_last_changes_the_strides_and_not_the_shape() {
        let arena = WeightArena::new(Device::Cpu, Kind::BFloat16, true);
        let weight = arena.lend().tensor(&[4, 3, 5, 5], Fill::He { fan_in: 75 });
        assert_eq!((weight.size(), weight.kind()), (vec![4, 3, 5, 5], Kind::BFloat16));
        assert_eq!(weight.stride(), [75, 1, 15, 3]);
        let images = arena.images(2, 8).unwrap();
        assert_eq!((images.size(), images.stride()[1]), (vec![2, 3, 8, 8], 1));
    }

    #[test]
    fn the_spread_is_that_of_the_fan_in() {
        let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
        let weight = arena.lend().tensor(&[64, 8, 3, 3], Fill::He { fan_in: 72 });
        let std = weight.std(true).double_value(&[]);
        assert!((std / (2.0f64 / 72.0).sqrt() - 1.0).abs() < 0.05, "{std}");
    }
}
