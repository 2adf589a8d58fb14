//! Kernels against libtorch's own operations, over shapes drawn at random, at every level that the processor has.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tch::{Device, Kind, Tensor};

use crate::{Level, at_level, avg_pool, depthwise, max_pool, takes_depthwise, takes_pool};

/// Largest difference allowed, as a share of the largest number expected: what reordered sums of floats differ by.
const TOLERANCE: f64 = 1e-5;

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    Contiguous,
    ChannelsLast,
    /// Every other row of a larger map.
    Rows,
    /// The first channels of a wider map.
    Channels,
}

const LIES: [Lie; 4] = [Lie::Contiguous, Lie::ChannelsLast, Lie::Rows, Lie::Channels];

/// A convolution or pool over a map.
#[derive(Debug, Clone, Copy)]
struct Case {
    sizes: [i64; 4],
    k: i64,
    stride: i64,
    dilation: i64,
    lie: Lie,
}

fn levels() -> Vec<Level> {
    let all = [Level::Portable, Level::Avx2, Level::Avx512];
    all.into_iter().filter(|level| level.is_there()).collect()
}

/// Shapes that rows of registers like least: shorter than a register, as long, one longer; single pixels, images and channels.
fn case(rng: &mut SmallRng) -> Case {
    let one_of = |rng: &mut SmallRng, from: &[i64]| from[rng.gen_range(0..from.len())];
    let side =
        |rng: &mut SmallRng| one_of(rng, &[1, 2, 3, 5, 7, 8, 9, 14, 15, 16, 17, 24, 31, 32, 33]);
    Case {
        sizes: [one_of(rng, &[1, 2, 5]), one_of(rng, &[1, 3, 16, 48]), side(rng), side(rng)],
        k: one_of(rng, &[1, 3, 5, 7, 9]),
        stride: one_of(rng, &[1, 2]),
        dilation: one_of(rng, &[1, 2, 3]),
        lie: LIES[rng.gen_range(0..LIES.len())],
    }
}

impl Case {
    fn padding(&self) -> i64 {
        self.k / 2 * self.dilation
    }

    /// Standard normal.
    fn map(&self) -> Tensor {
        let [n, c, h, w] = self.sizes;
        let normal = |sizes: [i64; 4]| Tensor::randn(sizes, (Kind::Float, Device::Cpu));
        match self.lie {
            Lie::Contiguous => normal(self.sizes),
            Lie::ChannelsLast => normal([n, h, w, c]).permute([0, 3, 1, 2]),
            Lie::Rows => normal([n, c, 2 * h, w]).slice(2, None, None, 2),
            Lie::Channels => normal([n, c + 3, h, w]).narrow(1, 0, c),
        }
    }

    fn weight(&self) -> Tensor {
        Tensor::randn([self.sizes[1], 1, self.k, self.k], (Kind::Float, Device::Cpu))
    }

    fn aten_depthwise(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding(); 2]);
        x.conv2d(weight, None::<Tensor>, stride, padding, [self.dilation; 2], self.sizes[1])
    }

    fn depthwise(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding(); 2]);
        assert!(takes_depthwise(x, weight, stride, padding, self.dilation), "{self:?}");
        depthwise(x, weight, stride, padding, self.dilation)
    }

    fn aten_max_pool(&self, x: &Tensor) -> Tensor {
        x.max_pool2d([self.k; 2], [self.stride; 2], [self.k / 2; 2], [1, 1], false)
    }

    fn aten_avg_pool(&self, x: &Tensor) -> Tensor {
        let [k, stride, padding] = [self.k, self.stride, self.k / 2];
        x.avg_pool2d([k; 2], [stride; 2], [padding; 2], false, false, None::<i64>)
    }
}

/// The largest difference as a share of the largest number expected.
fn error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    largest(&(found - expected)) / largest(expected).max(1e-3)
}

/// A leaf of its own that lies in memory as `of` does.
fn leaf(of: &Tensor, learns: bool) -> Tensor {
    of.detach().set_requires_grad(learns)
}

/// The output, and the gradients by all that learns, of a loss that weighs every output differently.
fn pass(inputs: &[(&Tensor, bool)], operation: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = inputs.iter().map(|(of, learns)| leaf(of, *learns)).collect();
    let y = operation(&leaves);
    let learning: Vec<&Tensor> = leaves.iter().filter(|leaf| leaf.requires_grad()).collect();
    let numbers = y.numel() as i64;
    let weights = Tensor::arange(numbers, (Kind::Float, Device::Cpu)).sin().view_as(&y);
    let mut found = vec![y.detach()];
    if !learning.is_empty() {
        let loss = (&y * weights).sum(Kind::Float);
        found.extend(Tensor::run_backward(&[loss], &learning, false, false));
    }
    found
}

fn compare(what: &str, case: &Case, found: &[Tensor], expected: &[Tensor], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (part, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = error(found, expected);
        assert!(error <= tolerance, "{what}, part {part} of {case:?}: {error}");
    }
}

#[test]
fn depthwise_convolutions_are_libtorchs() {
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..150 {
        let case = case(&mut rng);
        let (x, weight) = (case.map(), case.weight());
        let learns = [(true, true), (true, false), (false, true), (false, false)];
        let (x_learns, weight_learns) = learns[rng.gen_range(0..4)];
        let inputs = [(&x, x_learns), (&weight, weight_learns)];
        let expected = pass(&inputs, |t| case.aten_depthwise(&t[0], &t[1]));
        for level in levels() {
            let found = at_level(level, || pass(&inputs, |t| case.depthwise(&t[0], &t[1])));
            compare(level.name(), &case, &found, &expected, TOLERANCE);
        }
    }
}

/// To the bit where only one order of sums is natural.
#[test]
fn pools_are_libtorchs() {
    let mut rng = SmallRng::seed_from_u64(2);
    for _ in 0..150 {
        let case = Case { dilation: 1, ..case(&mut rng) };
        // Few different numbers, so that many maxima are met twice.
        let x = (case.map() * 2.0).round();
        for learns in [true, false] {
            let inputs = [(&x, learns)];
            let largest = pass(&inputs, |t| case.aten_max_pool(&t[0]));
            let mean = pass(&inputs, |t| case.aten_avg_pool(&t[0]));
            for level in levels() {
                at_level(level, || {
                    assert!(takes_pool(&x, case.k, case.stride));
                    let found = pass(&inputs, |t| max_pool(&t[0], case.k, case.stride));
                    compare(level.name(), &case, &found, &largest, 0.0);
                    let found = pass(&inputs, |t| avg_pool(&t[0], case.k, case.stride));
                    compare(level.name(), &case, &found, &mean, TOLERANCE);
                });
            }
        }
    }
}

#[test]
fn maxima_among_infinities_and_what_is_no_number_are_libtorchs() {
    let mut rng = SmallRng::seed_from_u64(3);
    let special = [f32::NAN, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY, -0.0, 0.0, 1.0];
    for side in [1_i64, 2, 5, 9, 17] {
        for stride in [1, 2] {
            let case =
                Case { sizes: [1, 4, side, side], k: 3, stride, dilation: 1, lie: Lie::Contiguous };
            let numbers: Vec<f32> =
                (0..4 * side * side).map(|_| special[rng.gen_range(0..special.len())]).collect();
            let x = Tensor::from_slice(&numbers).view(case.sizes);
            let expected = pass(&[(&x, true)], |t| case.aten_max_pool(&t[0]));
            for level in levels() {
                let found = at_level(level, || pass(&[(&x, true)], |t| max_pool(&t[0], 3, stride)));
                for (found, expected) in found.iter().zip(&expected) {
                    let same = found
                        .eq_tensor(expected)
                        .logical_or(&found.isnan().logical_and(&expected.isnan()));
                    assert!(bool::try_from(same.all()).unwrap(), "{level:?} {side} {stride}");
                }
            }
        }
    }
}

/// A number that is none reaches those outputs and gradients whose window sees it, and no others.
#[test]
fn what_is_no_number_spreads_no_further_than_in_libtorch() {
    for side in [3, 7, 8, 12, 16, 20] {
        let case =
            Case { sizes: [2, 2, side, side], k: 5, stride: 1, dilation: 1, lie: Lie::Contiguous };
        let x = case.map();
        let _ = x.get(0).get(0).get(side - 1).get(side - 1).fill_(f64::INFINITY);
        let weight = case.weight();
        let inputs = [(&x, true), (&weight, true)];
        let finite =
            |found: Vec<Tensor>| -> Vec<Tensor> { found.iter().map(Tensor::isfinite).collect() };
        let expected = finite(pass(&inputs, |t| case.aten_depthwise(&t[0], &t[1])));
        for level in levels() {
            let found = at_level(level, || pass(&inputs, |t| case.depthwise(&t[0], &t[1])));
            for (found, expected) in finite(found).iter().zip(&expected) {
                assert_eq!(found, expected, "{level:?} {side}");
            }
        }
    }
}

/// Of a loss of the gradients by the input.
fn second_order(inputs: &[&Tensor], operation: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = inputs.iter().map(|of| leaf(of, true)).collect();
    let loss = operation(&leaves).pow_tensor_scalar(3).sum(Kind::Float);
    let first = Tensor::run_backward(&[loss], &leaves, true, true);
    let of_first = first.iter().map(|g| g.pow_tensor_scalar(2).sum(Kind::Float));
    let second: Tensor = of_first.reduce(|a, b| a + b).unwrap();
    Tensor::run_backward(&[second], &leaves, false, false)
}

#[test]
fn gradients_of_gradients_are_libtorchs() {
    let mut rng = SmallRng::seed_from_u64(4);
    for _ in 0..20 {
        let case = Case { k: 3, ..case(&mut rng) };
        let (x, weight) = (case.map(), case.weight() * 0.3);
        let expected = second_order(&[&x, &weight], |t| case.aten_depthwise(&t[0], &t[1]));
        let found = second_order(&[&x, &weight], |t| case.depthwise(&t[0], &t[1]));
        compare("depthwise", &case, &found, &expected, 1e-4);
        let case = Case { dilation: 1, ..case };
        let expected = second_order(&[&x], |t| case.aten_max_pool(&t[0]));
        let found = second_order(&[&x], |t| max_pool(&t[0], 3, case.stride));
        compare("max pool", &case, &found, &expected, TOLERANCE);
        let expected = second_order(&[&x], |t| case.aten_avg_pool(&t[0]));
        let found = second_order(&[&x], |t| avg_pool(&t[0], 3, case.stride));
        compare("average pool", &case, &found, &expected, TOLERANCE);
    }
}

#[test]
fn without_gradients_nothing_is_kept() {
    let x = Tensor::randn([2, 3, 8, 8], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let weight = Tensor::randn([3, 1, 3, 3], (Kind::Float, Device::Cpu));
    let all =
        || [depthwise(&x, &weight, [1, 1], [1, 1], 1), max_pool(&x, 3, 1), avg_pool(&x, 3, 1)];
    at_level(Level::Portable, || {
        assert!(all().iter().all(Tensor::requires_grad));
        assert!(!tch::no_grad(all).iter().any(Tensor::requires_grad));
    });
}

#[test]
fn what_no_kernel_takes_libtorch_computes() {
    let normal =
        |sizes: &[i64], kind| Tensor::randn(sizes, (Kind::Float, Device::Cpu)).to_kind(kind);
    at_level(Level::best(), || {
        let x = normal(&[2, 4, 9, 9], Kind::Double);
        let weight = normal(&[4, 1, 3, 3], Kind::Double);
        assert!(!takes_depthwise(&x, &weight, [1, 1], [1, 1], 1));
        assert_eq!(depthwise(&x, &weight, [1, 1], [1, 1], 1).size(), [2, 4, 9, 9]);
        let (x, weight) = (x.to_kind(Kind::Float), weight.to_kind(Kind::Float));
        assert!(takes_depthwise(&x, &weight, [1, 1], [1, 1], 1));
        assert!(!takes_depthwise(&x, &weight, [1, 2], [1, 1], 1));
        assert!(!takes_depthwise(&x, &weight, [3, 3], [1, 1], 1));
        assert_eq!(depthwise(&x, &weight, [3, 3], [1, 1], 1).size(), [2, 4, 3, 3]);
        assert!(!takes_depthwise(&x, &normal(&[4, 1, 3, 1], Kind::Float), [1, 1], [1, 1], 1));
        assert!(!takes_depthwise(&x, &normal(&[8, 1, 3, 3], Kind::Float), [1, 1], [1, 1], 1));
        assert!(!takes_pool(&x, 2, 1) && !takes_pool(&x, 3, 3) && takes_pool(&x, 3, 2));
        assert_eq!(max_pool(&x, 3, 3).size(), [2, 4, 3, 3]);
        let empty = x.narrow(0, 0, 0);
        assert!(!takes_pool(&empty, 3, 1));
        assert_eq!(avg_pool(&empty, 3, 1).size(), [0, 4, 9, 9]);
    });
    let x = normal(&[2, 4, 9, 9], Kind::Float);
    assert!(!at_level(Level::Off, || takes_pool(&x, 3, 1)));
}

/// The wrong shapes panic with libtorch's words, as all of tch does.
#[test]
fn a_shape_that_nothing_takes_panics_as_tch_does() {
    let x = Tensor::randn([2, 4, 9, 9], (Kind::Float, Device::Cpu));
    let weight = Tensor::randn([5, 1, 3, 3], (Kind::Float, Device::Cpu));
    let panicked = std::panic::catch_unwind(|| depthwise(&x, &weight, [1, 1], [1, 1], 1));
    assert!(panicked.is_err());
}

#[test]
fn a_trace_knows_libtorchs_operations_alone() {
    let x = Tensor::randn([2, 4, 9, 9], (Kind::Float, Device::Cpu));
    let mut forward = |inputs: &[Tensor]| {
        assert!(!takes_pool(&inputs[0], 3, 1));
        vec![max_pool(&inputs[0], 3, 1)]
    };
    let traced =
        tch::CModule::create_by_tracing("Pool", "forward", &[x.copy()], &mut forward).unwrap();
    assert_eq!(traced.forward_ts(&[&x + 1.0]).unwrap(), max_pool(&(&x + 1.0), 3, 1));
}
