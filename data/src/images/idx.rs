//! The IDX format of MNIST (<http://yann.lecun.com/exdb/mnist/>): a magic number, the lengths, the bytes; plain or gzip.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::image_set::push_grey;
use super::{Augment, Dataset, DatasetEntry, ImageSet, LoadOptions};
use crate::DataError;

const HW: usize = 28;
/// Unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0803;
/// The first bytes of gzip files.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0801;
const LAYOUT: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte and the same two of t10k or test, plain or .gz";

pub(super) const FASHION_MNIST: DatasetEntry = DatasetEntry {
    name: "fashion-mnist",
    summary: "clothes, 28x28 grey, 60,000 + 10,000 images of 10 classes, from a folder",
    source: "H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, 2017, MIT",
    layout: Some(LAYOUT),
    load: |dir, _: &LoadOptions| load("fashion-mnist", dir, &CLOTHES, CLOTHES_AUGMENT),
};

pub(super) const MNIST: DatasetEntry = DatasetEntry {
    name: "mnist",
    summary: "handwritten digits, 28x28 grey, 60,000 + 10,000 images, from a folder",
    source: "Y. LeCun, C. Cortes, C. Burges, The MNIST Database, 1998, CC BY-SA 3.0",
    layout: Some(LAYOUT),
    // Digits are not mirror-symmetric.
    load: |dir, _: &LoadOptions| {
        load("mnist", dir, &DIGITS, Augment { flip: false, ..CLOTHES_AUGMENT })
    },
};

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Clothes may be mirrored.
pub(super) const CLOTHES_AUGMENT: Augment = Augment { crop_padding: 2, flip: true, cutout: 0 };
/// The classes of Fashion-MNIST.
pub(super) const CLOTHES: [&str; 10] = [
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

fn load(name: &str, dir: &Path, classes: &[&str], augment: Augment) -> Result<Dataset, DataError> {
    let part = |part: &str, files: &[&str]| {
        let images = IdxFile::open(find(dir, files, "images-idx3-ubyte")?)?;
        let labels = IdxFile::open(find(dir, files, "labels-idx1-ubyte")?)?;
        join(&format!("{name} {part}"), images, labels, classes)
    };
    Ok(Dataset::new(part("train", &["train"])?, part("test", &["t10k", "test"])?, augment))
}

/// The images of one file with the labels of another.
pub(super) fn join(
    name: &str,
    images: IdxFile,
    labels: IdxFile,
    classes: &[&str],
) -> Result<ImageSet, DataError> {
    let source = labels.path.clone();
    let (grey, labels) = (images.images()?, labels.labels()?);
    if grey.len() != labels.len() * HW * HW {
        let expected = format!("{} labels, one per image", grey.len() / (HW * HW));
        return Err(DataError::content(&source, expected, labels.len().to_string()));
    }
    let mut pixels = Vec::with_capacity(3 * grey.len());
    grey.chunks_exact(HW * HW).for_each(|image| push_grey(&mut pixels, image));
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    let class_names = classes.iter().map(|&class| class.to_owned()).collect();
    ImageSet::new(name, &source, pixels, labels, HW, class_names)
}

/// The first existing file among the usual names.
fn find(dir: &Path, parts: &[&str], kind: &str) -> Result<PathBuf, DataError> {
    // Mirrors of the data have a dot instead of a dash; torchvision keeps the files in its own folders.
    let kinds = [kind.to_owned(), kind.replacen("-idx", ".idx", 1)];
    let plain =
        parts.iter().flat_map(|part| kinds.iter().map(move |kind| format!("{part}-{kind}")));
    let names: Vec<String> = plain.flat_map(|name| [format!("{name}.gz"), name]).collect();
    let folders = ["", "raw", "MNIST/raw", "FashionMNIST/raw"].map(|folder| dir.join(folder));
    let mut paths = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let names: Vec<String> = parts.iter().map(|part| format!("{part}-{kind}[.gz]")).collect();
        DataError::content(dir, format!("a file {}", names.join(" or ")), "none")
    })
}

/// A file in the IDX format, on disk or part of the program.
pub(super) struct IdxFile {
    /// The path that errors name.
    path: PathBuf,
    reader: Box<dyn Read>,
}

impl IdxFile {
    fn open(path: PathBuf) -> Result<Self, DataError> {
        let mut file = BufReader::new(File::open(&path).map_err(DataError::io("read", &path))?);
        // The format is found from the first bytes, because files are often renamed.
        let head = file.fill_buf().map_err(DataError::io("read", &path))?;
        if head.starts_with(b"<") {
            let found = "a web page, which a download may leave; fetch the file again";
            return Err(DataError::content(&path, "a file in the IDX format", found));
        }
        let is_packed = head.starts_with(&GZIP);
        let reader: Box<dyn Read> =
            if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, reader })
    }

    /// A compressed file that is part of the program.
    pub(super) fn embedded(path: &str, packed: &'static [u8]) -> Self {
        Self { path: path.into(), reader: Box::new(MultiGzDecoder::new(packed)) }
    }

    /// All images, `[n, 28, 28]`.
    fn images(mut self) -> Result<Vec<u8>, DataError> {
        let [magic, n, height, width] = self.header()?;
        self.check_magic(magic, IMAGES_MAGIC)?;
        if (height, width) != (HW as u32, HW as u32) {
            let found = format!("{height}x{width}");
            return Err(DataError::content(&self.path, "images of 28x28", found));
        }
        self.rest(u64::from(n) * (HW * HW) as u64)
    }

    /// All labels, `[n]`.
    fn labels(mut self) -> Result<Vec<u8>, DataError> {
        let [magic, n] = self.header()?;
        self.check_magic(magic, LABELS_MAGIC)?;
        self.rest(u64::from(n))
    }

    /// The big-endian numbers at the beginning of a file.
    fn header<const N: usize>(&mut self) -> Result<[u32; N], DataError> {
        let Self { path, reader } = self;
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

    fn check_magic(&self, found: u32, expected: u32) -> Result<(), DataError> {
        if found == expected {
            return Ok(());
        }
        let expected = format!("an IDX file of unsigned bytes with magic number {expected:#06x}");
        Err(DataError::content(&self.path, expected, format!("{found:#06x}")))
    }

    /// Reads exactly `expected` bytes; more or fewer are an error. The header may be wrong, so no memory is reserved in advance.
    fn rest(self, expected: u64) -> Result<Vec<u8>, DataError> {
        let Self { path, reader } = self;
        let mut bytes = Vec::new();
        match reader.take(expected + 1).read_to_end(&mut bytes) {
            Ok(_) => {}
            // This is how a truncated gzip file ends. The bytes before are available.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(DataError::io("read", &path)(error)),
        }
        let found = bytes.len() as u64;
        if found == expected {
            return Ok(bytes);
        }
        let found =
            if found < expected { format!("{found}: it is cut short") } else { "more".into() };
        Err(DataError::content(&path, format!("{expected} bytes behind the header"), found))
    }
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
        // All pixels of image i are i.
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

    /// Training files are plain; test files are compressed and have the other name.
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
        (MNIST.load)(dir, &LoadOptions::default()).unwrap_err().to_string()
    }

    #[test]
    fn plain_and_packed_files_load() {
        let dir = folder();
        let set = (FASHION_MNIST.load)(dir.path(), &LoadOptions::default()).unwrap();
        assert_eq!((set.train.n, set.test.n, set.train.hw), (3, 2, 28));
        assert_eq!(set.train.labels, [7, 0, 9]);
        assert_eq!(set.train.image(2), [2; 3 * 784]);
        assert_eq!(set.test.image(1), [1; 3 * 784]);
        assert_eq!(set.augment, Augment { crop_padding: 2, flip: true, cutout: 0 });
        assert_eq!(set.train.class_names[9], "Ankle boot");
        assert!(!(MNIST.load)(dir.path(), &LoadOptions::default()).unwrap().augment.flip);
    }

    #[test]
    fn files_load_under_the_names_of_mirrors_and_from_the_folders_of_torchvision() {
        let whole = (MNIST.load)(folder().path(), &LoadOptions::default()).unwrap();
        let dotted = folder();
        for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
            let other = name.replace("-idx", ".idx");
            fs::rename(dotted.path().join(name), dotted.path().join(other)).unwrap();
        }
        // Compressed, but named as if it were not.
        let packed = dotted.path().join("test-images-idx3-ubyte.gz");
        fs::rename(&packed, packed.with_extension("")).unwrap();
        assert_eq!((MNIST.load)(dotted.path(), &LoadOptions::default()).unwrap(), whole);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("MNIST")).unwrap();
        fs::rename(folder().keep(), root.path().join("MNIST/raw")).unwrap();
        assert_eq!((MNIST.load)(root.path(), &LoadOptions::default()).unwrap(), whole);
    }

    #[test]
    fn a_web_page_is_told() {
        let dir = folder();
        fs::write(dir.path().join("test-images-idx3-ubyte.gz"), "<!DOCTYPE html>").unwrap();
        assert!(message(dir.path()).contains("found a web page"), "{}", message(dir.path()));
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
