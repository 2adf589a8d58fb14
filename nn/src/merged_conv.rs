//! `MergeNAS`' merged convolution: several candidates share one large kernel, and each uses it through a mask. Wang, Xue, Yan,
//! Yang, Hu, Sun, IJCAI 2020.

use lat_space::{Op, OpSpec};
use tch::{Device, Kind, Tensor, nn};

use crate::kernels::Kernels;
use crate::{BatchNorm, Conv, LayerBuilder};

/// A weighted sum of convolutions, computed as one. Convolution is linear in its kernel, so the kernels are summed instead of the
/// outputs.
#[derive(Debug)]
pub struct MergedConv {
    /// Depthwise `[c, 1, g, g]`, or `[c_out, c_in, g, g]` if the candidates are full convolutions.
    kernel: Tensor,
    /// `[n_candidates, g, g]` of 0 and 1.
    masks: Tensor,
    groups: i64,
    stride: i64,
    padding: i64,
    /// The 1x1 convolution after a depthwise kernel.
    pointwise: Option<Conv>,
    bn: BatchNorm,
    kernels: Kernels,
}

/// The part of a kernel that an operation uses: window and dilation, and whether it is depthwise. None if it is no convolution.
fn reach(op: Op) -> Option<(i64, i64, bool)> {
    match op {
        Op::SepConv { k } => Some((i64::from(k), 1, true)),
        Op::DilConv { k } => Some((i64::from(k), 2, true)),
        Op::ReluConvBn { k } => Some((i64::from(k), 1, false)),
        _ => None,
    }
}

/// Half the side of a window, without its centre.
fn radius((k, dilation, _): (i64, i64, bool)) -> i64 {
    (k - 1) / 2 * dilation
}

impl MergedConv {
    /// Whether an operation can be merged.
    pub fn covers(op: Op) -> bool {
        reach(op).is_some()
    }

    /// One kernel for these candidates of one place, which must be all depthwise or all full.
    pub fn new(builder: &LayerBuilder, path: &nn::Path, candidates: &[OpSpec]) -> Self {
        let reaches: Vec<_> = candidates.iter().filter_map(|c| reach(c.op)).collect();
        assert_eq!(reaches.len(), candidates.len(), "only convolutions merge");
        let depthwise = reaches[0].2;
        assert!(reaches.iter().all(|r| r.2 == depthwise), "kernels of one kind merge");
        let padding = reaches.iter().map(|&r| radius(r)).max().unwrap_or(0);
        let masks: Vec<Tensor> = reaches.iter().map(|&r| mask(r, padding)).collect();
        let OpSpec { c_in, c_out, stride, .. } = candidates[0];
        let side = 2 * padding + 1;
        let shape = if depthwise {
            [i64::from(c_in), 1, side, side]
        } else {
            [i64::from(c_out), i64::from(c_in), side, side]
        };
        // Kaiming-normal over the kernel's fan-in, as in the authors' code.
        let fan_in = (shape[1] * side * side) as f64;
        let init = nn::Init::Randn { mean: 0.0, stdev: (2.0 / fan_in).sqrt() };
        Self {
            kernel: (path / "kernel").var("weight", &shape, init),
            masks: Tensor::stack(&masks, 0).to_device(path.device()),
            groups: if depthwise { i64::from(c_in) } else { 1 },
            stride: i64::from(stride),
            padding,
            pointwise: depthwise.then(|| builder.conv(&(path / "pointwise"), c_in, c_out, 1)),
            bn: builder.bn(&(path / "bn"), c_out),
            kernels: Kernels::of(&builder.init),
        }
    }

    /// The part of the kernel that each candidate uses, `[n_candidates, g, g]`.
    pub fn masks(&self) -> &Tensor {
        &self.masks
    }

    /// Applies the weighted sum: `[n, c_in, h, w]` to `[n, c_out, h', w']`; `weights` is `[n_candidates]`.
    pub fn forward_t(&self, xs: &Tensor, weights: &Tensor, train: bool) -> Tensor {
        let ys = self.merged(&xs.relu(), weights, train);
        let ys = match &self.pointwise {
            Some(pointwise) => pointwise.forward(&ys),
            None => ys,
        };
        self.bn.forward_t(&ys, train)
    }

    /// The convolution only, with its kernel multiplied by the weighted sum of the masks.
    fn merged(&self, xs: &Tensor, weights: &Tensor, train: bool) -> Tensor {
        let mask = (weights.view([-1, 1, 1]) * &self.masks).sum_dim_intlist(0, false, Kind::Float);
        let kernel = &self.kernel * mask;
        let moves = ([self.stride; 2], [self.padding; 2]);
        self.kernels.convolve(xs, (&kernel, None), moves, (1, self.groups), train)
    }
}

/// A mask `[g, g]` of 0 and 1, where `g` is twice the padding plus one.
fn mask(reach: (i64, i64, bool), padding: i64) -> Tensor {
    let (side, radius, dilation) = (2 * padding + 1, radius(reach), reach.1);
    let sees = |i: i64| (i - padding).abs() <= radius && (i - padding) % dilation == 0;
    let ones = (0..side * side).map(|i| f32::from(u8::from(sees(i / side) && sees(i % side))));
    Tensor::from_slice(&ones.collect::<Vec<f32>>()).view([side, side]).to_device(Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, WeightInit};

    const OPS: [Op; 4] =
        [Op::SepConv { k: 3 }, Op::SepConv { k: 5 }, Op::DilConv { k: 3 }, Op::DilConv { k: 5 }];

    fn merged(stride: u8) -> (nn::VarStore, MergedConv) {
        let store = nn::VarStore::new(Device::Cpu);
        let builder = LayerBuilder {
            phase: Phase::Search,
            pools_normalised: true,
            init: WeightInit::Uniform,
        };
        let specs = OPS.map(|op| OpSpec { op, c_in: 6, c_out: 6, stride, hw_in: 12 });
        let conv = MergedConv::new(&builder, &store.root(), &specs);
        (store, conv)
    }

    fn image() -> Tensor {
        Tensor::arange(2 * 6 * 12 * 12, tch::kind::FLOAT_CPU).sin().view([2, 6, 12, 12])
    }

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.allclose(b, 1e-5, 1e-5, false)
    }

    #[test]
    fn mergenas_1_masks_see_9_25_9_and_25_entries_and_41_together() {
        let (_store, conv) = merged(1);
        let masks = conv.masks();
        assert_eq!(masks.size(), [4, 9, 9]);
        let sum = |t: &Tensor| t.sum(Kind::Double).double_value(&[]) as i64;
        let ones: Vec<i64> = (0..4).map(|i| sum(&masks.get(i))).collect();
        assert_eq!(ones, [9, 25, 9, 25]);
        assert_eq!(sum(&masks.amax([0i64].as_slice(), false)), 41);
        let overlap = |a: i64, b: i64| sum(&(masks.get(a) * masks.get(b)));
        assert_eq!([overlap(0, 2), overlap(1, 3), overlap(2, 1), overlap(2, 3)], [1, 9, 9, 9]);
    }

    #[test]
    fn mergenas_2_and_3_the_merged_kernel_is_the_sum_of_the_candidates() {
        for stride in [1, 2] {
            let (_store, conv) = merged(stride);
            let x = image();
            // Each candidate by itself is the usual convolution with its part of the kernel: (first entry, window, dilation).
            let parts = [(3, 3, 1), (2, 5, 1), (2, 3, 2), (0, 5, 2)];
            let alone = |i: usize| {
                let (first, k, dilation) = parts[i];
                let rows = Tensor::arange(k, tch::kind::INT64_CPU) * dilation + first;
                let kernel = conv.kernel.index_select(2, &rows).index_select(3, &rows);
                let padding = (k - 1) / 2 * dilation;
                x.conv2d(&kernel, None::<Tensor>, i64::from(stride), padding, dilation, 6)
            };
            let weights = Tensor::from_slice(&[0.1f32, 0.4, 0.2, 0.3]);
            let mut sum = Tensor::zeros_like(&alone(0));
            for i in 0..4 {
                let one_hot = Tensor::zeros([4], tch::kind::FLOAT_CPU);
                let _ = one_hot.get(i as i64).fill_(1.0);
                assert!(close(&conv.merged(&x, &one_hot, true), &alone(i)), "candidate {i}");
                sum += alone(i) * weights.double_value(&[i as i64]);
            }
            assert!(close(&conv.merged(&x, &weights, true), &sum));
        }
    }

    #[test]
    fn mergenas_4_the_kernel_learns_where_a_mask_lets_it() {
        let (_store, conv) = merged(1);
        let gradient = |weights: &[f32]| {
            let mut kernel = conv.kernel.shallow_clone();
            kernel.zero_grad();
            let ys = conv.forward_t(&image(), &Tensor::from_slice(weights), true);
            let g = Tensor::arange(ys.numel() as i64, tch::kind::FLOAT_CPU).cos().view_as(&ys);
            (ys * g).sum(Kind::Float).backward();
            conv.kernel.grad().abs().amax([0i64, 1].as_slice(), false).gt(0.0).to_kind(Kind::Float)
        };
        let union = conv.masks().amax([0i64].as_slice(), false);
        assert_eq!(gradient(&[0.1, 0.4, 0.2, 0.3]), union);
        assert_eq!(gradient(&[0.0, 0.0, 1.0, 0.0]), conv.masks().get(2));
    }

    #[test]
    fn mergenas_7_one_kernel_has_fewer_weights_than_four() {
        let (store, _conv) = merged(1);
        let n: i64 = store.trainable_variables().iter().map(|v| v.numel() as i64).sum();
        let c = 6;
        assert_eq!(n, c * 81 + c * c);
        let builder = LayerBuilder {
            phase: Phase::Search,
            pools_normalised: true,
            init: WeightInit::Uniform,
        };
        let separate = nn::VarStore::new(Device::Cpu);
        for op in OPS {
            let spec = OpSpec { op, c_in: 6, c_out: 6, stride: 1, hw_in: 12 };
            builder.layer(&(separate.root() / op.name()), &spec);
        }
        let n: i64 = separate.trainable_variables().iter().map(|v| v.numel() as i64).sum();
        assert_eq!(n, c * (2 * 9 + 2 * 25 + 9 + 25) + 6 * c * c);
    }

    #[test]
    fn mergenas_8_bn_takes_the_common_scale_of_the_weights_out() {
        let (_store, conv) = merged(1);
        let ys = |scale: f32| {
            let weights = [0.1f32, 0.4, 0.2, 0.3].map(|w| w * scale);
            conv.forward_t(&(image() * 10.0), &Tensor::from_slice(&weights), true)
        };
        assert!(ys(1.0).allclose(&ys(3.0), 1e-2, 1e-3, false));
    }
}
