//! A `TensorBoard` event file of scalars.
//!
//! The format is that of `tensorflow/core/lib/io/record_writer.cc` (records with masked CRC-32C) and of the messages `Event` and
//! `Summary` in `tensorflow/core/util/event.proto` and `tensorflow/core/framework/summary.proto`. Only the fields that scalars need
//! are declared here.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    // Field 2 of protobuf's `oneof`, which is written even if it is zero.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An open event file. Each process writes its own, with the time in its name as `TensorBoard` expects.
pub(super) struct EventFile {
    file: File,
}

impl EventFile {
    pub(super) fn create(dir: &Path) -> anyhow::Result<Self> {
        let now = now();
        let path =
            dir.join(format!("events.out.tfevents.{:.0}.{}.lat", now.floor(), std::process::id()));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("could not write {}", path.display()))?;
        let mut events = Self { file };
        let file_version = Some("brain.Event:2".to_owned());
        events.write(&Event { wall_time: now, file_version, ..Event::default() })?;
        Ok(events)
    }

    /// Adds scalars at a step.
    pub(super) fn add(
        &mut self,
        step: i64,
        scalars: impl Iterator<Item = (String, f64)>,
    ) -> anyhow::Result<()> {
        let scalar = |(tag, value): (String, f64)| Scalar { tag, simple_value: Some(value as f32) };
        let summary = Some(Summary { value: scalars.map(scalar).collect() });
        self.write(&Event { wall_time: now(), step, summary, ..Event::default() })
    }

    fn write(&mut self, event: &Event) -> anyhow::Result<()> {
        let written = self.file.write_all(&record(&event.encode_to_vec()));
        written.context("could not write to the TensorBoard event file")
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A record: length, its checksum, the bytes, their checksum.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), bytes, &masked(bytes).to_le_bytes()].concat()
}

fn masked(bytes: &[u8]) -> u32 {
    const MASK_DELTA: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the events back and verifies every checksum.
    fn events(mut bytes: &[u8]) -> Vec<Event> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(sum(8), masked(&bytes[..8]));
            assert_eq!(sum(12 + length), masked(&bytes[12..12 + length]));
            found.push(Event::decode(&bytes[12..12 + length]).unwrap());
            bytes = &bytes[16 + length..];
        }
        found
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(dir.path()).unwrap();
        file.add(1, [("loss/train".to_owned(), 0.0), ("a/b".to_owned(), 2.5)].into_iter()).unwrap();
        file.add(2, [("loss/train".to_owned(), -1.0)].into_iter()).unwrap();
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let found = events(&std::fs::read(path).unwrap());
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        let values = |event: &Event| -> Vec<(String, f32)> {
            let summary = event.summary.clone().unwrap();
            summary.value.into_iter().map(|v| (v.tag, v.simple_value.unwrap())).collect()
        };
        assert_eq!((found.len(), found[1].step, found[2].step), (3, 1, 2));
        assert_eq!(values(&found[1]), [("loss/train".to_owned(), 0.0), ("a/b".to_owned(), 2.5)]);
        assert_eq!(values(&found[2]), [("loss/train".to_owned(), -1.0)]);
    }

    #[test]
    fn check_sums_are_the_published_ones() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }
}
