//! Image batches on a device, drawn and augmented by a seeded generator, so that an epoch can be repeated to the bit.

mod contrastive;

use contrastive::{Contrastive, Scale};
use lat_data::{Augment, Dataset, ImageSet};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Images `[n, 3, h, w]` and labels `[n]`. With several views of the same images `[n_views * n, 3, h, w]`, one view after the other.
#[derive(Debug)]
pub struct Batch {
    /// Normalised pixels.
    pub images: Tensor,
    /// Class numbers.
    pub labels: Tensor,
}

impl Batch {
    /// The views, each `[n, 3, h, w]` with the images in the same order.
    pub fn views(&self) -> Vec<Tensor> {
        self.images.split(self.labels.size()[0], 0)
    }
}

/// The images of one set, normalised, on a device.
#[derive(Debug)]
pub struct Images {
    /// Normalised pixels, `[n, 3, h, w]`.
    pixels: Tensor,
    /// Class numbers, `[n]`.
    labels: Tensor,
    scale: Scale,
    augment: Augment,
    device: Device,
}

impl Images {
    /// The training images, augmented when batched.
    pub fn training(dataset: &Dataset, device: Device) -> Self {
        Self::new(&dataset.train, dataset, dataset.augment, device)
    }

    /// The test images, never augmented.
    pub fn testing(dataset: &Dataset, device: Device) -> Self {
        let plain = Augment { crop_padding: 0, flip: false, cutout: 0 };
        Self::new(&dataset.test, dataset, plain, device)
    }

    fn new(set: &ImageSet, dataset: &Dataset, augment: Augment, device: Device) -> Self {
        let (n, hw) = (set.n as i64, set.hw as i64);
        let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
        let (mean, std) = (channel(dataset.mean), channel(dataset.std));
        let pixels = Tensor::from_slice(&set.pixels).view([n, 3, hw, hw]).to_kind(Kind::Float);
        let pixels = (pixels / 255.0 - &mean) / &std;
        let labels: Vec<i64> = set.labels.iter().map(|&l| i64::from(l)).collect();
        Self {
            pixels: pixels.to_device(device),
            labels: Tensor::from_slice(&labels).to_device(device),
            scale: Scale { mean: mean.to_device(device), std: std.to_device(device) },
            augment,
            device,
        }
    }

    /// These images without Cutout, which is only used in the evaluation phase.
    pub fn without_cutout(mut self) -> Self {
        self.augment.cutout = 0;
        self
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.size()[0] as usize
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These images without augmentation.
    pub fn plain(&self, indices: &[usize]) -> Batch {
        let rows: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
        let rows = Tensor::from_slice(&rows).to_device(self.device);
        Batch {
            images: self.pixels.index_select(0, &rows),
            labels: self.labels.index_select(0, &rows),
        }
    }

    /// These images, augmented if the set is for training.
    pub fn batch(&self, indices: &[usize], rng: &mut ChaCha8Rng) -> Batch {
        let Batch { images, labels } = self.plain(indices);
        Batch { images: augmented(images, self.augment, rng), labels }
    }

    /// Views of these images. A single view is [`Images::batch`]; several are augmented as for contrastive learning, and mirrored
    /// only if the data set allows it.
    pub fn views(&self, indices: &[usize], n: usize, rng: &mut ChaCha8Rng) -> Batch {
        if n == 1 {
            return self.batch(indices, rng);
        }
        let Batch { images, labels } = self.plain(indices);
        let flips = self.augment.flip;
        let view = |_| Contrastive::MOCO_V2.view(&images, &self.scale, flips, rng);
        let views: Vec<Tensor> = (0..n).map(view).collect();
        Batch { images: Tensor::cat(&views, 0), labels }
    }
}

/// One epoch's order: the indices shuffled and cut into batches of `batch`. A last batch of less than half that size is left out,
/// because batch statistics of a few images are noise.
pub fn shuffled(indices: &[usize], batch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut order = indices.to_vec();
    order.shuffle(rng);
    let least = if order.len() < batch { 1 } else { batch.div_ceil(2) };
    order.chunks(batch).filter(|chunk| chunk.len() >= least).map(<[usize]>::to_vec).collect()
}

/// The generator of one epoch. It depends only on seed and epoch, so a resumed run continues exactly like an uninterrupted one.
pub fn epoch_rng(seed: u64, epoch: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(epoch) + 1);
    rng
}

fn augmented(images: Tensor, augment: Augment, rng: &mut ChaCha8Rng) -> Tensor {
    let Augment { crop_padding, flip, cutout } = augment;
    let images =
        if crop_padding > 0 { cropped(&images, i64::from(crop_padding), rng) } else { images };
    let images = if flip { flipped(&images, rng) } else { images };
    if cutout > 0 { cut_out(&images, i64::from(cutout), rng) } else { images }
}

/// Pads with zeros and crops each image at a random place of its own.
fn cropped(images: &Tensor, padding: i64, rng: &mut ChaCha8Rng) -> Tensor {
    let (n, _, h, w) = images.size4().expect("images have four dimensions");
    let padded = images.constant_pad_nd([padding; 4]);
    let crops: Vec<Tensor> = (0..n)
        .map(|i| {
            let (y, x) = (rng.gen_range(0..=2 * padding), rng.gen_range(0..=2 * padding));
            padded.get(i).narrow(1, y, h).narrow(2, x, w)
        })
        .collect();
    Tensor::stack(&crops, 0)
}

fn flipped(images: &Tensor, rng: &mut ChaCha8Rng) -> Tensor {
    let mirror: Vec<bool> = (0..images.size()[0]).map(|_| rng.r#gen()).collect();
    let mirror = Tensor::from_slice(&mirror).view([-1, 1, 1, 1]).to_device(images.device());
    images.flip([3]).where_self(&mirror, images)
}

/// Sets a square around a random pixel to zero; parts beyond the border are cut off (`DeVries` and Taylor 2017).
fn cut_out(images: &Tensor, side: i64, rng: &mut ChaCha8Rng) -> Tensor {
    let (n, _, h, w) = images.size4().expect("images have four dimensions");
    let mask = Tensor::ones([n, 1, h, w], (Kind::Float, Device::Cpu));
    for i in 0..n {
        let (y, x) = (rng.gen_range(0..h), rng.gen_range(0..w));
        let (top, left) = ((y - side / 2).max(0), (x - side / 2).max(0));
        let (bottom, right) = ((y + side / 2).min(h), (x + side / 2).min(w));
        let _ = mask.get(i).narrow(1, top, bottom - top).narrow(2, left, right - left).fill_(0.0);
    }
    images * mask.to_device(images.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones() -> Tensor {
        Tensor::ones([16, 3, 8, 8], tch::kind::FLOAT_CPU)
    }

    #[test]
    fn crops_keep_the_size_and_only_shift() {
        let mut rng = epoch_rng(0, 0);
        let ys = cropped(&ones(), 1, &mut rng);
        assert_eq!(ys.size(), [16, 3, 8, 8]);
        // A shift by (0 or 1) pixels keeps at least 7x7 of each channel.
        let kept = ys.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float);
        assert!(kept.min().double_value(&[]) >= 147.0 && kept.max().double_value(&[]) <= 192.0);
    }

    #[test]
    fn cutout_blanks_at_most_its_square() {
        let blanked: Tensor = 192.0
            - cut_out(&ones(), 4, &mut epoch_rng(0, 0)).sum_dim_intlist(
                [1i64, 2, 3].as_slice(),
                false,
                Kind::Float,
            );
        assert!(blanked.min().double_value(&[]) >= 12.0 && blanked.max().double_value(&[]) <= 48.0);
    }

    #[test]
    fn flipping_twice_the_same_way_gives_the_image_back() {
        let images = Tensor::arange(16 * 192, tch::kind::FLOAT_CPU).view([16, 3, 8, 8]);
        let once = flipped(&images, &mut epoch_rng(3, 0));
        assert_ne!(once, images);
        assert_eq!(flipped(&once, &mut epoch_rng(3, 0)), images);
    }

    #[test]
    fn views_show_the_same_images_each_in_its_own_way() {
        let set = |n| ImageSet {
            name: "numbers".into(),
            pixels: (0..n * 192).map(|i| (i % 251) as u8).collect(),
            labels: (0..n as u32).collect(),
            n,
            hw: 8,
            classes: 4,
            class_names: Vec::new(),
        };
        let augment = Augment { crop_padding: 1, flip: true, cutout: 0 };
        let dataset = Dataset {
            train: set(4),
            test: set(1),
            mean: [0.0; 3],
            std: [1.0; 3],
            augment,
            notes: Vec::new(),
        };
        let images = Images::training(&dataset, Device::Cpu);
        let indices = [2, 0, 3];
        let four = images.views(&indices, 4, &mut epoch_rng(0, 0));
        assert_eq!(four.images.size(), [12, 3, 8, 8]);
        assert_eq!(Vec::<i64>::try_from(&four.labels).unwrap(), [2, 0, 3]);
        let views = four.views();
        assert_eq!(views.len(), 4);
        assert!((1..4).all(|i| views[i] != views[0]));
        let [one, plain] = [
            images.views(&indices, 1, &mut epoch_rng(0, 0)),
            images.batch(&indices, &mut epoch_rng(0, 0)),
        ];
        assert_eq!(one.images, plain.images, "one view is a batch");
    }

    #[test]
    fn epochs_have_their_own_order_and_the_same_when_repeated() {
        let indices: Vec<usize> = (0..100).collect();
        let order = |epoch| shuffled(&indices, 32, &mut epoch_rng(1, epoch));
        assert_eq!(order(2), order(2));
        assert_ne!(order(2), order(3));
        assert_eq!(order(0).len(), 3);
    }
}
