//! Random views of an image for contrastive learning, for which a network should give the same answer: `MoCo` v2's augmentation.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// How much views differ from their image. `MoCo` v2 (Chen 2020, arXiv 2003.04297) in Pi-NAS' configuration.
///
/// Deviations: a crop that is wider or higher than the image is cut to it instead of drawn again; colours are varied in one order
/// (brightness, contrast, saturation, hue); hue turns in the YIQ plane, which keeps brightness, not in HSV; blur is proportional to
/// the image's size (the reference's values are for 224 pixels), and there is none below 20 pixels, where its window is a single
/// pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contrastive {
    /// Smallest share of the image's area in a crop.
    least_area: f64,
    /// Brightness, contrast and saturation are multiplied by a factor between 1 - `jitter` and 1 + `jitter`.
    jitter: f64,
    /// Hue turns by at most this share of the circle.
    hue: f64,
    /// Probability that colours are varied.
    varied: f64,
    /// Probability that the view is grey.
    grey: f64,
    /// Probability that the view is blurred.
    blurred: f64,
}

/// Mean and scale of the normalisation: images are `(pixels - mean) / std` of pixels from 0 to 1, both `[1, 3, 1, 1]`.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) mean: Tensor,
    pub(super) std: Tensor,
}

/// Logarithm of the largest ratio of a crop's width to its height; the smallest ratio is its inverse.
const WIDEST: f64 = 0.287_682_072; // ln(4 / 3)
/// Range of the blur's standard deviation, in pixels of an image of [`FULL`] pixels.
const SIGMAS: std::ops::RangeInclusive<f64> = 0.1..=2.0;
const FULL: f64 = 224.0;
/// The blur's window is a tenth of the image's size.
const WINDOWS: i64 = 10;
/// Brightness of red, green and blue.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// The random numbers for one image.
struct Draw {
    /// Factors of brightness, contrast and saturation.
    factors: [f64; 3],
    /// Turn of the hue, in radians.
    turn: f64,
    is_grey: bool,
    /// Standard deviation of the blur in pixels; 0 means no blur.
    sigma: f64,
}

impl Contrastive {
    pub(super) const MOCO_V2: Self =
        Self { least_area: 0.2, jitter: 0.4, hue: 0.4, varied: 0.8, grey: 0.2, blurred: 0.5 };

    /// One view of each image `[n, 3, h, w]`; with `flips` half of them are mirrored.
    pub(super) fn view(
        &self,
        images: &Tensor,
        scale: &Scale,
        flips: bool,
        rng: &mut ChaCha8Rng,
    ) -> Tensor {
        let hw = images.size()[3];
        let pixels = self.cropped(images, flips, rng) * &scale.std + &scale.mean;
        let draws: Vec<Draw> = (0..images.size()[0]).map(|_| self.draw(hw, rng)).collect();
        let pixels = blurred(&coloured(pixels.clamp(0.0, 1.0), &draws), &draws);
        (pixels - &scale.mean) / &scale.std
    }

    fn draw(&self, hw: i64, rng: &mut ChaCha8Rng) -> Draw {
        let is_varied = rng.gen_bool(self.varied);
        let mut around = |most: f64| if is_varied { rng.gen_range(-most..=most) } else { 0.0 };
        let factors = [(); 3].map(|()| 1.0 + around(self.jitter));
        let turn = std::f64::consts::TAU * around(self.hue);
        let is_grey = rng.gen_bool(self.grey);
        let is_blurred = rng.gen_bool(self.blurred);
        let sigma = if is_blurred { rng.gen_range(SIGMAS) * hw as f64 / FULL } else { 0.0 };
        Draw { factors, turn, is_grey, sigma }
    }

    /// A random part of each image, scaled to the size of the whole.
    fn cropped(&self, images: &Tensor, flips: bool, rng: &mut ChaCha8Rng) -> Tensor {
        let n = images.size()[0];
        let mut window = || {
            let area: f64 = rng.gen_range(self.least_area..=1.0);
            let stretch = (0.5 * rng.gen_range(-WIDEST..=WIDEST)).exp();
            let sides = [area.sqrt() * stretch, area.sqrt() / stretch].map(|side| side.min(1.0));
            // Centre of the crop; the image ranges from -1 to 1.
            let [x, y] = sides.map(|side| rng.gen_range(-1.0..=1.0) * (1.0 - side));
            let is_mirrored = flips && rng.r#gen();
            let width = if is_mirrored { -sides[0] } else { sides[0] };
            [width, 0.0, x, 0.0, sides[1], y].map(|number| number as f32)
        };
        let rows: Vec<f32> = (0..n).flat_map(|_| window()).collect();
        let theta = Tensor::from_slice(&rows).view([n, 2, 3]);
        let theta = theta.to_device(images.device()).to_kind(images.kind());
        let grid = Tensor::affine_grid_generator(&theta, images.size().as_slice(), false);
        let (bilinear, border) = (0, 1);
        images.grid_sampler(&grid, bilinear, border, false)
    }
}

/// One number per image, `[n, 1, 1, 1]`.
fn column(draws: &[Draw], of: impl Fn(&Draw) -> f64, like: &Tensor) -> Tensor {
    let numbers: Vec<f32> = draws.iter().map(|draw| of(draw) as f32).collect();
    Tensor::from_slice(&numbers).view([-1, 1, 1, 1]).to_device(like.device()).to_kind(like.kind())
}

/// Brightness, `[n, 1, h, w]`.
fn luma(pixels: &Tensor) -> Tensor {
    let weights = Tensor::from_slice(&LUMA).view([1, 3, 1, 1]);
    let weights = weights.to_device(pixels.device()).to_kind(pixels.kind());
    (pixels * weights).sum_dim_intlist([1i64].as_slice(), true, pixels.kind())
}

/// Changes the colours of pixels from 0 to 1.
fn coloured(pixels: Tensor, draws: &[Draw]) -> Tensor {
    let [brightness, contrast, saturation] =
        [0, 1, 2].map(|i| column(draws, |draw| draw.factors[i], &pixels));
    let pixels = (pixels * brightness).clamp(0.0, 1.0);
    let mean = luma(&pixels).mean_dim([2i64, 3].as_slice(), true, pixels.kind());
    let pixels = ((pixels - &mean) * contrast + mean).clamp(0.0, 1.0);
    let grey = luma(&pixels);
    let pixels = ((pixels - &grey) * saturation + grey).clamp(0.0, 1.0);
    let pixels = turned(&pixels, draws).clamp(0.0, 1.0);
    let is_grey = column(draws, |draw| f64::from(u8::from(draw.is_grey)), &pixels);
    let grey = luma(&pixels);
    &pixels + (grey - &pixels) * is_grey
}

/// Turns the hue in the YIQ plane (with NTSC's matrices, three digits as usual).
fn turned(pixels: &Tensor, draws: &[Draw]) -> Tensor {
    let [r, g, b] = [0, 1, 2].map(|c| pixels.narrow(1, c, 1));
    let (i, q) = (&r * 0.596 - &g * 0.274 - &b * 0.322, &r * 0.211 - &g * 0.523 + &b * 0.312);
    let cos = column(draws, |draw| draw.turn.cos(), pixels);
    let sin = column(draws, |draw| draw.turn.sin(), pixels);
    // The differences of the colours, so that an image whose hue does not turn is unchanged to the bit.
    let (di, dq) = (&i * (&cos - 1.0) - &q * &sin, &i * &sin + &q * (&cos - 1.0));
    let moved = [(0.956, 0.621), (-0.272, -0.647), (-1.106, 1.703)];
    let moved = moved.map(|(of_i, of_q)| &di * of_i + &dq * of_q);
    pixels + Tensor::cat(&moved, 1)
}

/// Blurs each image with a Gaussian window of its own width.
fn blurred(pixels: &Tensor, draws: &[Draw]) -> Tensor {
    let (n, c, h, w) = pixels.size4().expect("images have four dimensions");
    let side = (w / WINDOWS) / 2 * 2 + 1;
    let radius = side / 2;
    if radius == 0 || draws.iter().all(|draw| draw.sigma == 0.0) {
        return pixels.shallow_clone();
    }
    // The window must be so narrow that pixels do not change.
    let sigma = column(draws, |draw| draw.sigma.max(1e-3), pixels).view([n, 1]);
    let offsets = Tensor::arange(side, (Kind::Float, Device::Cpu)) - radius as f64;
    let offsets = offsets.to_device(pixels.device()).to_kind(pixels.kind());
    let window = (offsets.square() / (sigma.square() * -2.0)).exp();
    let window = &window / window.sum_dim_intlist([1i64].as_slice(), true, pixels.kind());
    // One convolution group per channel of each image.
    let window = window.repeat_interleave_self_int(c, 0, None);
    let along = |xs: &Tensor, window: Tensor, padding: [i64; 4]| {
        let padded = xs.replication_pad2d(padding);
        padded.conv2d::<Tensor>(&window, None, [1, 1], [0, 0], [1, 1], n * c)
    };
    let flat = pixels.view([1, n * c, h, w]);
    let rows = along(&flat, window.view([n * c, 1, 1, side]), [radius, radius, 0, 0]);
    let all = along(&rows, window.view([n * c, 1, side, 1]), [0, 0, radius, radius]);
    all.view([n, c, h, w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::epoch_rng;

    fn images(hw: i64) -> Tensor {
        // Not drawn from libtorch's generator, which tests share.
        (lat_nn::uniform(&[6, 3, hw, hw], 1, Device::Cpu) - 0.5) / 0.25
    }

    fn scale() -> Scale {
        let all = |value: f64| Tensor::full([1, 3, 1, 1], value, tch::kind::FLOAT_CPU);
        Scale { mean: all(0.5), std: all(0.25) }
    }

    fn gap(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn crops_are_parts_of_the_image_at_its_size_some_mirrored() {
        let ramp = Tensor::arange(32, tch::kind::FLOAT_CPU) / 31.0;
        let ramps = ramp.view([1, 1, 1, 32]).expand([64, 3, 32, 32], false).contiguous();
        let mut rng = epoch_rng(0, 0);
        for flips in [false, true] {
            let found = Contrastive::MOCO_V2.cropped(&ramps, flips, &mut rng);
            assert_eq!(found.size(), ramps.size());
            let rise = (found.narrow(3, 31, 1) - found.narrow(3, 0, 1)).narrow(2, 0, 1);
            // A fifth of the area, a third higher than wide, minus up to a pixel of rounding.
            let sides = rise.abs();
            assert!(sides.min().double_value(&[]) > 0.35 && sides.max().double_value(&[]) <= 1.0);
            assert!(sides.min().double_value(&[]) < 0.6);
            assert_eq!(rise.min().double_value(&[]) < 0.0, flips);
        }
    }

    #[test]
    fn what_is_not_varied_stays() {
        let pixels = images(32) * 0.25 + 0.5;
        let draw = || Draw { factors: [1.0; 3], turn: 0.0, is_grey: false, sigma: 0.0 };
        let draws: Vec<Draw> = (0..6).map(|_| draw()).collect();
        assert!(gap(&blurred(&coloured(pixels.copy(), &draws), &draws), &pixels) < 1e-6);
    }

    #[test]
    fn views_stay_within_what_pixels_can_be_and_follow_from_the_seed() {
        for hw in [8, 16, 32, 64] {
            let images = images(hw);
            let view = || {
                let rng = &mut epoch_rng(0, 0);
                Contrastive::MOCO_V2.view(&images, &scale(), false, rng)
            };
            let (one, again) = (view(), view());
            assert_eq!(one, again);
            assert_eq!(one.size(), images.size());
            assert!(gap(&one, &images) > 0.1, "{hw}");
            assert!(one.abs().max().double_value(&[]) <= 2.0 + 1e-5, "{hw}");
        }
    }

    #[test]
    fn grey_views_have_three_equal_channels_and_the_same_brightness() {
        let images = images(16);
        let draw = || Draw { factors: [1.0; 3], turn: 0.0, is_grey: true, sigma: 0.0 };
        let draws: Vec<Draw> = (0..6).map(|_| draw()).collect();
        let pixels = images * 0.25 + 0.5;
        let grey = coloured(pixels.copy(), &draws);
        assert!(gap(&grey.narrow(1, 0, 1), &grey.narrow(1, 2, 1)) < 1e-6);
        assert!(gap(&luma(&grey), &luma(&pixels)) < 1e-5);
    }

    #[test]
    fn a_turn_of_the_hue_keeps_brightness_and_a_whole_one_everything() {
        let pixels = images(16) * 0.05 + 0.5;
        let turned_by = |turn: f64| {
            let draw = || Draw { factors: [1.0; 3], turn, is_grey: false, sigma: 0.0 };
            turned(&pixels, &(0..6).map(|_| draw()).collect::<Vec<Draw>>())
        };
        let half = turned_by(std::f64::consts::PI);
        assert!(gap(&half, &pixels) > 0.05);
        assert!(gap(&luma(&half), &luma(&pixels)) < 2e-3);
        assert!(gap(&turned_by(std::f64::consts::TAU), &pixels) < 1e-5);
    }

    #[test]
    fn blur_keeps_the_mean_and_evens_out() {
        let pixels = images(40) * 0.25 + 0.5;
        let draw = |sigma| Draw { factors: [1.0; 3], turn: 0.0, is_grey: false, sigma };
        let draws: Vec<Draw> = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0].map(draw).into();
        let found = blurred(&pixels, &draws);
        assert!(gap(&found.narrow(0, 0, 3), &pixels.narrow(0, 0, 3)) < 1e-6);
        let spread = |xs: &Tensor| xs.narrow(0, 3, 3).std(false).double_value(&[]);
        assert!(spread(&found) < 0.6 * spread(&pixels));
        let mean = |xs: &Tensor| xs.mean(Kind::Double).double_value(&[]);
        assert!((mean(&found) - mean(&pixels)).abs() < 0.01);
    }
}
