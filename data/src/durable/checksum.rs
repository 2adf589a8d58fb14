//! Checksums (CRC-32) of files' contents, and of files that contain their own checksum.

/// A file that contains its own checksum has it in the first text of its head, as JSON inside JSON, so that it is found without
/// reading the rest.
const PLACE: &[u8] = br#"{\"checksum\":\""#;
/// The text in place of the checksum while it is computed.
pub const BLANK_CHECKSUM: &str = "00000000";
/// The checksum begins within this many bytes of the head.
const HEAD: usize = 128;

/// CRC-32 as eight hex digits.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

/// The checksum of several pieces, one after the other.
#[derive(Debug, Default)]
pub struct Checksum(crc32fast::Hasher);

impl Checksum {
    /// Adds a piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC-32 as eight hex digits.
    pub fn text(self) -> String {
        format!("{:08x}", self.0.finalize())
    }
}

/// Writes the checksum of a file into its head, which must contain [`BLANK_CHECKSUM`] as its JSON's first field `checksum`. The
/// checksum then covers everything else in the file, the head too.
///
/// # Panics
/// If the head has no such place.
pub fn seal(bytes: &mut [u8]) {
    let place = place(bytes).expect("the head was made with a place for its checksum");
    let text = checksum(bytes);
    bytes[place].copy_from_slice(text.as_bytes());
}

/// Compares a file with the checksum that it contains. A file without a checksum, as older programs wrote it, passes.
///
/// # Errors
/// The difference, worded as the end of a sentence.
pub fn check_sealed(bytes: &[u8]) -> Result<(), String> {
    let Some(place) = place(bytes) else { return Ok(()) };
    let mut counted = Checksum::default();
    counted.add(&bytes[..place.start]);
    counted.add(BLANK_CHECKSUM.as_bytes());
    counted.add(&bytes[place.end..]);
    let (carried, found) = (String::from_utf8_lossy(&bytes[place]), counted.text());
    if carried == found {
        return Ok(());
    }
    Err(format!(
        "it is damaged: its content has checksum {found}, but it was written with {carried}"
    ))
}

fn place(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let head = &bytes[..bytes.len().min(HEAD)];
    let start = head.windows(PLACE.len()).position(|found| found == PLACE)? + PLACE.len();
    let end = start + BLANK_CHECKSUM.len();
    (end <= bytes.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_but_those_that_say_where_it_stands_counts() {
        let mut file =
            br#"........{"__metadata__":{"lat":"{\"checksum\":\"00000000\",\"a\":1}"}} content"#
                .to_vec();
        seal(&mut file);
        assert_eq!(check_sealed(&file), Ok(()));
        let place = place(&file).unwrap();
        let says_where = place.start - PLACE.len()..place.start;
        for bit in 0..8 * file.len() {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let is_noticed = check_sealed(&damaged).is_err();
            assert_eq!(is_noticed, !says_where.contains(&(bit / 8)), "bit {bit}");
        }
    }

    #[test]
    fn files_without_one_pass() {
        for file in [&b""[..], b"........{}", br#"{\"checksum\":\"0000"#] {
            assert_eq!(check_sealed(file), Ok(()));
        }
    }

    #[test]
    fn it_is_the_published_one() {
        assert_eq!(checksum(b"123456789"), "cbf43926");
    }
}
