//! The IDX format of MNIST (<http://yann.lecun.com/exdb/mnist/>): a magic number, the lengths, the bytes; plain or gzip.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::image_set::push_grey;
use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::DataError;

const HW: usize = 28;
/// Unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0803;
/// Unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0801;
const LAYOUT: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte and the same two of t10k or test, plain or .gz";

pub(super) const FASHION_MNIST: DatasetEntry = DatasetEntry {
    name: "fashion-mnist",
    summary: "clothes, 28x28 grey, 60,000 + 10,000 images of 10 classes, from a folder",
    source: "H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, 2017, MIT",
    layout: Some(LAYOUT),
    load: |dir, _: &LoadOptions| load("fashion-mnist", dir, &CLOTHES, true),
};

pub(super) const MNIST: DatasetEntry = DatasetEntry {
    name: "mnist",
    summary: "handwritten digits, 28x28 grey, 60,000 + 10,000 images, from a folder",
    source: "Y. LeCun, C. Cortes, C. Burges, The MNIST Database, 1998, CC BY-SA 3.0",
    layout: Some(LAYOUT),
    // Digits are not mirror-symmetric.
    load: |dir, _: &LoadOptions| load("mnist", dir, &DIGITS, false),
};

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

fn load(name: &str, dir: &Path, classes: &[&str], flip: bool) -> Result<Dataset, DataError> {
    let train = part(&format!("{name} train"), dir, &["train"], classes)?;
    let test = part(&format!("{name} test"), dir, &["t10k", "test"], classes)?;
    Ok(Dataset::new(train, test, Augment { crop_padding: 2, flip, cutout: 0 }))
}

fn part(name: &str, dir: &Path, parts: &[&str], classes: &[&str]) -> Result<ImageSet, DataError> {
    let images_path = find(dir, parts, "images-idx3-ubyte")?;
    let labels_path = find(dir, parts, "labels-idx1-ubyte")?;
    let grey = read_images(&images_path)?;
    let labels = read_labels(&labels_path)?;
    if grey.len() != labels.len() * HW * HW {
        let expected = format!("{} labels, one per image", grey.len() / (HW * HW));
        return Err(DataError::content(&labels_path, expected, labels.len().to_string()));
    }
    let mut pixels = Vec::with_capacity(3 * grey.len());
    grey.chunks_exact(HW * HW).for_each(|image| push_grey(&mut pixels, image));
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    let class_names = classes.iter().map(|&class| class.to_owned()).collect();
    ImageSet::new(name, &labels_path, pixels, labels, HW, class_names)
}

/// The first file there is of the names that are in use.
fn find(dir: &Path, parts: &[&str], kind: &str) -> Result<PathBuf, DataError> {
    let plain = parts.iter().map(|part| dir.join(format!("{part}-{kind}")));
    let mut names = plain.flat_map(|path| [path.with_extension("gz"), path]);
    names.find(|path| path.is_file()).ok_or_else(|| {
        let names: Vec<String> = parts.iter().map(|part| format!("{part}-{kind}[.gz]")).collect();
        DataError::content(dir, format!("a file {}", names.join(" or ")), "none")
    })
}

/// All images one after the other, `[n, 28, 28]`.
fn read_images(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut reader = open(path)?;
    let [magic, n, height, width] = read_header(path, &mut reader)?;
    check_magic(path, magic, IMAGES_MAGIC)?;
    if (height, width) != (HW as u32, HW as u32) {
        let found = format!("{height}x{width}");
        return Err(DataError::content(path, "images of 28x28", found));
    }
    read_rest(path, &mut reader, u64::from(n) * (HW * HW) as u64)
}

fn read_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut reader = open(path)?;
    let [magic, n] = read_header(path, &mut reader)?;
    check_magic(path, magic, LABELS_MAGIC)?;
    read_rest(path, &mut reader, u64::from(n))
}

fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = BufReader::new(File::open(path).map_err(DataError::io("read", path))?);
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// The big-endian numbers that a file begins with.
fn read_header<const N: usize>(path: &Path, reader: &mut dyn Read) -> Result<[u32; N], DataError> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                let expected = format!("an IDX file with a header of {} bytes", 4 * N);
                DataError::content(path, expected, "fewer")
            }
            _ => DataError::io("read", path)(error),
        })?;
        *number = u32::from_be_bytes(bytes);
    }
    Ok(numbers)
}

fn check_magic(path: &Path, found: u32, expected: u32) -> Result<(), DataError> {
    if found == expected {
        return Ok(());
    }
    let expected = format!("an IDX file of unsigned bytes with magic number {expected:#06x}");
    Err(DataError::content(path, expected, format!("{found:#06x}")))
}

/// Exactly `expected` bytes and no more; the header may lie, so that nothing is set aside for them in advance.
fn read_rest(path: &Path, reader: &mut dyn Read, expected: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match reader.take(expected + 1).read_to_end(&mut bytes) {
        Ok(_) => {}
        // A gzip file that is cut short ends like this; the bytes before are there.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(DataError::io("read", path)(error)),
    }
    let found = bytes.len() as u64;
    if found == expected {
        return Ok(bytes);
    }
    let found = if found < expected { format!("{found}: it is cut short") } else { "more".into() };
    Err(DataError::content(path, format!("{expected} bytes behind the header"), found))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;

    fn images(n: u32) -> Vec<u8> {
        let header = [IMAGES_MAGIC, n, 28, 28].map(u32::to_be_bytes).concat();
        // Image i is all i.
        let pixels = (0..n as usize * HW * HW).map(|at| (at / (HW * HW)) as u8);
        header.into_iter().chain(pixels).collect()
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        let header = [LABELS_MAGIC, labels.len() as u32].map(u32::to_be_bytes).concat();
        [header, labels.to_vec()].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Training files plain, test files packed under the other name.
    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
        write("train-images-idx3-ubyte", images(3));
        write("train-labels-idx1-ubyte", labels(&[7, 0, 9]));
        write("test-images-idx3-ubyte.gz", gzip(&images(2)));
        write("test-labels-idx1-ubyte.gz", gzip(&labels(&[1, 2])));
        dir
    }

    fn message(dir: &Path) -> String {
        load("mnist", dir, &DIGITS, false).unwrap_err().to_string()
    }

    #[test]
    fn plain_and_packed_files_load() {
        let dir = folder();
        let set = load("fashion-mnist", dir.path(), &CLOTHES, true).unwrap();
        assert_eq!((set.train.n, set.test.n, set.train.hw), (3, 2, 28));
        assert_eq!(set.train.labels, [7, 0, 9]);
        assert_eq!(set.train.image(2), [2; 3 * 784]);
        assert_eq!(set.test.image(1), [1; 3 * 784]);
        assert_eq!(set.augment, Augment { crop_padding: 2, flip: true, cutout: 0 });
        assert_eq!(set.train.class_names[9], "Ankle boot");
        assert!(!(MNIST.load)(dir.path(), &LoadOptions::default()).unwrap().augment.flip);
    }

    #[test]
    fn every_cut_of_a_file_is_an_error() {
        let dir = folder();
        let path = dir.path().join("train-labels-idx1-ubyte");
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(message(dir.path()).contains("train-labels-idx1-ubyte: expected"), "{cut}");
        }
        fs::write(&path, &whole[..10]).unwrap();
        let expected = "expected 3 bytes behind the header; found 2: it is cut short";
        assert!(message(dir.path()).ends_with(expected), "{}", message(dir.path()));
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(message(dir.path()).ends_with("found more"), "{}", message(dir.path()));
        fs::write(&path, &whole).unwrap();
        let packed = gzip(&images(2));
        let path = dir.path().join("test-images-idx3-ubyte.gz");
        for cut in [0, 5, 12, packed.len() / 2, packed.len() - 9] {
            fs::write(&path, &packed[..cut]).unwrap();
            assert!(message(dir.path()).contains("test-images-idx3-ubyte.gz"), "{cut}");
        }
    }

    #[test]
    fn wrong_numbers_are_told() {
        let dir = folder();
        let path = dir.path().join("train-images-idx3-ubyte");
        let mut bytes = images(3);
        bytes[3] = 1;
        fs::write(&path, &bytes).unwrap();
        let expected = "with magic number 0x0803; found 0x0801";
        assert!(message(dir.path()).ends_with(expected), "{}", message(dir.path()));
        let mut bytes = images(3);
        bytes[15] = 32;
        fs::write(&path, &bytes).unwrap();
        assert!(message(dir.path()).ends_with("expected images of 28x28; found 28x32"));
        fs::write(&path, images(4)).unwrap();
        let expected = "train-labels-idx1-ubyte: expected 4 labels, one per image; found 3";
        assert!(message(dir.path()).ends_with(expected), "{}", message(dir.path()));
        fs::write(&path, images(3)).unwrap();
        fs::write(dir.path().join("train-labels-idx1-ubyte"), labels(&[1, 10, 0])).unwrap();
        let expected = "expected labels from 0 to 9; found 10 for image 2";
        assert!(message(dir.path()).ends_with(expected), "{}", message(dir.path()));
        fs::remove_file(dir.path().join("test-images-idx3-ubyte.gz")).unwrap();
        fs::write(dir.path().join("train-labels-idx1-ubyte"), labels(&[1, 1, 0])).unwrap();
        let expected = "expected a file t10k-images-idx3-ubyte[.gz] or test-images-idx3-ubyte[.gz]; found none";
        assert!(message(dir.path()).ends_with(expected), "{}", message(dir.path()));
    }
}
