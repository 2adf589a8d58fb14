//! One measurement per line: the CRC-32 of its JSON as eight hex digits, a space, the JSON.

use std::path::Path;

use crate::{DataError, Measurement};

/// The content of a journal's file of rows.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The rows, in the order written.
    pub(crate) rows: Vec<Measurement>,
    /// Number of bytes from the start that are complete rows.
    pub(crate) good_bytes: u64,
    /// Number of bytes after them: what a crash left of the last row.
    pub(crate) torn_bytes: u64,
}

/// The kinds of lines.
enum Line {
    Row(Box<Measurement>),
    /// Not as it was written, because of a crash or a damaged disk.
    Broken(String),
    /// As it was written, but by a program that has other fields.
    Foreign(String),
}

/// The line for a row, with its newline.
///
/// # Errors
/// [`serde_json::Error`] if the row cannot be written as JSON.
pub(crate) fn encode(row: &Measurement) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(row)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())))
}

/// Reads all rows. A crash can only damage the end of the file. So broken lines count as torn if only broken lines follow. Any
/// other broken line is an error, and so is a broken last line that was once complete.
///
/// # Errors
/// [`DataError::Damaged`] names the first line that is no row although rows follow.
pub(crate) fn scan(path: &Path, bytes: &[u8]) -> Result<Scan, DataError> {
    let mut found = Scan::default();
    let mut broken: Option<(usize, String)> = None;
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match (decode(line), &broken) {
            (Line::Row(row), None) => {
                found.rows.push(*row);
                found.good_bytes += line.len() as u64;
            }
            (Line::Broken(reason), _) => {
                let (first, reason) = broken.get_or_insert((index + 1, reason));
                if ends_in_row(line) || was_whole(line) {
                    return Err(damaged(path, *first, reason));
                }
            }
            (Line::Row(_) | Line::Foreign(_), Some((first, reason))) => {
                return Err(damaged(path, *first, reason));
            }
            (Line::Foreign(reason), None) => return Err(damaged(path, index + 1, &reason)),
        }
    }
    found.torn_bytes = bytes.len() as u64 - found.good_bytes;
    Ok(found)
}

/// Whether a broken line ends in a complete row: then the newline before that row was damaged, which a crash does not do.
fn ends_in_row(line: &[u8]) -> bool {
    let mut starts = line.windows(2).enumerate().filter(|(at, pair)| *at > 8 && *pair == b" {");
    starts.any(|(at, _)| !matches!(decode(&line[at - 8..]), Line::Broken(_)))
}

/// Whether a broken line was once written completely: then one of its bytes changed, which a crash does not do. A crash leaves a
/// line without its end, or with many zeros where a block did not reach the disk.
fn was_whole(line: &[u8]) -> bool {
    let Some((last, before)) = line.split_last() else { return false };
    if *last != b'\n' {
        // If the newline is the changed byte, the line before it is a row.
        return !matches!(decode(&[before, b"\n"].concat()), Line::Broken(_));
    }
    // A row begins with nine bytes and a brace, and ends in a brace; a single damaged byte cannot affect both.
    let braced = before.get(9) == Some(&b'{') || before.last() == Some(&b'}');
    let mut zeros = line.iter().filter(|&&byte| byte == 0);
    before.len() > 9 && braced && zeros.nth(1).is_none()
}

fn damaged(path: &Path, line: usize, reason: &str) -> DataError {
    DataError::Damaged { path: path.to_owned(), line, reason: reason.to_owned() }
}

fn decode(line: &[u8]) -> Line {
    let Some(text) = line.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok())
    else {
        return Line::Broken("it is no line of text".to_owned());
    };
    let Some((crc, json)) = text.split_once(' ') else {
        return Line::Broken("expected a checksum, a space and a row".to_owned());
    };
    let actual = format!("{:08x}", crc32fast::hash(json.as_bytes()));
    if crc != actual {
        let crc: String = crc.chars().take(16).collect();
        return Line::Broken(format!("expected checksum {actual}, found '{crc}'"));
    }
    match serde_json::from_str(json) {
        Ok(row) => Line::Row(Box::new(row)),
        Err(error) => Line::Foreign(format!("it is whole, but no row of this version: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::run::measurement::tests::{failed, measurement};

    fn three() -> String {
        (1..4).map(|i| encode(&measurement(i, Role::Sample, i as f64)).unwrap()).collect()
    }

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        let line = encode(&measurement(1, Role::Sample, 1.0)).unwrap();
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        let crc = u32::from_str_radix(&line[..8], 16).unwrap();
        assert_eq!(crc, crc32fast::hash(&line.as_bytes()[9..line.len() - 1]));
    }

    #[test]
    fn rows_come_back_as_written() {
        let row = measurement(5, Role::Anchor, 0.1 + 0.2);
        let line = encode(&row).unwrap() + &encode(&failed(6)).unwrap();
        let scan = scan(Path::new("rows.jsonl"), line.as_bytes()).unwrap();
        assert_eq!(scan.rows[0], row);
        assert_eq!(scan.rows[1].reason, "out of memory");
        assert!(scan.rows[1].latency_ms.is_nan());
        assert_eq!((scan.good_bytes, scan.torn_bytes), (line.len() as u64, 0));
    }

    #[test]
    fn any_flipped_bit_is_an_error_with_its_line() {
        let text = three();
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        // All bytes; the bit varies from one to the next.
        for bit in (0..8 * text.len()).step_by(5) {
            let (at, mut bytes) = (bit / 8, text.clone().into_bytes());
            bytes[at] ^= 1 << (bit % 8);
            let error = scan(Path::new("rows.jsonl"), &bytes).unwrap_err().to_string();
            let line = 1 + ends.iter().filter(|&&end| at > end).count();
            assert!(error.starts_with(&format!("line {line} of rows.jsonl is damaged")), "{error}");
        }
    }

    #[test]
    fn a_last_line_with_zeros_in_it_is_torn() {
        let text = three();
        let start = text[..text.len() - 1].rfind('\n').unwrap() + 1;
        let mut bytes = text.clone().into_bytes();
        bytes[start + 40..start + 60].fill(0);
        let scan = scan(Path::new("rows.jsonl"), &bytes).unwrap();
        assert_eq!((scan.rows.len(), scan.good_bytes), (2, start as u64));
    }

    #[test]
    fn garbage_at_the_end_is_torn_even_with_newlines_in_it() {
        let text = three();
        let mut bytes = text.clone().into_bytes();
        bytes.extend_from_slice(b"\0\0\0\n\xff\n\0");
        let scan = scan(Path::new("rows.jsonl"), &bytes).unwrap();
        assert_eq!((scan.rows.len(), scan.good_bytes, scan.torn_bytes), (3, text.len() as u64, 7));
    }

    #[test]
    fn a_whole_row_of_another_version_is_never_torn() {
        let json = r#"{"index":1}"#;
        let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        let error = scan(Path::new("rows.jsonl"), line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("no row of this version: missing field"), "{error}");
    }
}
