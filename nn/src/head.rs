//! The classifiers at a network's end.

use tch::Tensor;
use tch::nn::{self, Module};

use crate::elastic::first;
use crate::regularised::drop_entries;
use crate::weight_arena::Fill;
use crate::{BatchNorm, Conv, LayerBuilder, WeightInit};

/// Global average pool and linear classifier: `[n, c, h, w]` to `[n, classes]`.
#[derive(Debug)]
pub(crate) struct Head {
    linear: nn::Linear,
}

impl Head {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, c: u32, classes: u32) -> Self {
        Self { linear: linear(&b.init, path, c, classes) }
    }

    /// If the map has fewer channels than the classifier reads, they are taken for its first ones.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let pooled = drop_entries(xs.mean_dim([2i64, 3].as_slice(), false, xs.kind()));
        let c = pooled.size()[1];
        if c == self.linear.ws.size()[1] {
            return self.linear.forward(&pooled);
        }
        pooled.linear(&first(&self.linear.ws, 1, c), self.linear.bs.as_ref())
    }
}

fn linear(init: &WeightInit, path: &nn::Path, c: u32, classes: u32) -> nn::Linear {
    if let WeightInit::Lent(loan) = init {
        let (inputs, outputs) = (i64::from(c), i64::from(classes));
        let ws = loan.tensor(&[outputs, inputs], Fill::He { fan_in: inputs });
        return nn::Linear { ws, bs: Some(loan.tensor(&[outputs], Fill::Zeros)) };
    }
    let bound = f64::from(c).sqrt().recip();
    let init = nn::Init::Uniform { lo: -bound, up: bound };
    let config = nn::LinearConfig { ws_init: init, bs_init: Some(init), bias: true };
    nn::linear(path / "linear", i64::from(c), i64::from(classes), config)
}

/// DARTS' auxiliary classifier: `ReLU`, average pool to 2x2, 1x1 to 128, 2x2 to 768, linear.
#[derive(Debug)]
pub(crate) struct Auxiliary {
    convs: [(Conv, BatchNorm); 2],
    linear: nn::Linear,
}

impl Auxiliary {
    pub(crate) fn new(b: &LayerBuilder, path: &nn::Path, c: u32, classes: u32) -> Self {
        let b = b.affine();
        Self {
            convs: [
                (b.conv(&(path / "conv1"), c, 128, 1), b.bn(&(path / "bn1"), 128)),
                (b.conv(&(path / "conv2"), 128, 768, 2).unpadded(), b.bn(&(path / "bn2"), 768)),
            ],
            linear: linear(&b.init, path, 768, classes),
        }
    }

    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let xs = pool_to_2x2(&xs.relu());
        let ys = self
            .convs
            .iter()
            .fold(xs, |ys, (conv, bn)| bn.forward_t(&conv.forward(&ys), train).relu());
        self.linear.forward(&ys.flatten(1, -1))
    }
}

/// The reference has a 5x5 window, with stride 3 on 8x8 maps (CIFAR) and 2 on 7x7 (`ImageNet`). It has no other sizes.
fn pool_to_2x2(xs: &Tensor) -> Tensor {
    let stride = match xs.size()[2] {
        8 => 3,
        7 => 2,
        _ => return xs.adaptive_avg_pool2d([2, 2]),
    };
    xs.avg_pool2d([5, 5], [stride, stride], [0, 0], false, false, None::<i64>)
}
