//! Tests of predictor files.

use std::fs;
use std::path::PathBuf;

use lat_space::{NasBench201, Space, architecture_at};
use ndarray::Array2;

use super::*;
use crate::predictor::tests::trained;

/// An empty folder for this test only.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lat-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn what_is_loaded_predicts_what_was_saved() {
    let folder = folder("predictor-round");
    let path = folder.join("p.safetensors");
    let space = NasBench201::new();
    let predictor = trained(&space);
    predictor.save(&path).unwrap();
    predictor.save(&path).unwrap();
    let loaded = Predictor::load(&path).unwrap();
    assert_eq!(loaded.label(), predictor.label());
    let gates: Vec<f32> = (0..50)
        .flat_map(|i| architecture_at(&space, 8, i).unwrap().gates(space.decisions()))
        .collect();
    let gates = Array2::from_shape_vec((50, 30), gates).unwrap();
    let predict = |p: &Predictor| p.predict_gates(gates.view()).unwrap();
    assert_eq!(predict(&loaded), predict(&predictor));
    assert_eq!(loaded.to_bytes().unwrap(), predictor.to_bytes().unwrap());
    let files: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(files.len(), 1, "no temporary file is left");
    fs::remove_dir_all(&folder).unwrap();
}

/// The metadata with zeros for the checksum, as they are when it is computed.
fn unsealed(json: &str) -> String {
    const FIELD: &str = "{\"checksum\":\"";
    match json.strip_prefix(FIELD) {
        Some(rest) => format!("{FIELD}{BLANK_CHECKSUM}{}", &rest[BLANK_CHECKSUM.len()..]),
        None => json.to_owned(),
    }
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is_and_files_without_a_checksum_are_read() {
    let good = trained(&NasBench201::new()).to_bytes().unwrap();
    let read = |bytes: &[u8]| Predictor::from_bytes(bytes, Path::new("p.lat"));
    let json = metadata(&good).unwrap();
    let start = good.windows(4).position(|found| found == b"\"mu\\").unwrap();
    // Positions of the digits of mu, in the rest of the head, and in the tensors.
    let bytes = (start..start + 20).chain((64..good.len()).step_by(97));
    for byte in bytes {
        let mut damaged = good.clone();
        damaged[byte] ^= 1 << (byte % 7);
        let error = read(&damaged).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("p.lat is not a predictor"), "byte {byte}: {error}");
    }
    let mut digit = good.clone();
    let first = start + good[start..].iter().position(|b| (b'0'..=b'8').contains(b)).unwrap();
    digit[first] += 1;
    let error = read(&digit).map(drop).unwrap_err().to_string();
    assert!(error.contains("it is damaged: its content has checksum"), "{error}");

    let without = json.replacen(&json[1..=json.find(',').unwrap()], "", 1);
    assert!(without.starts_with("{\"format\":2"), "{without}");
    let file = SafeTensors::deserialize(&good).unwrap();
    let metadata = HashMap::from([(KEY.to_owned(), without)]);
    let old = safetensors::serialize(file.tensors(), Some(metadata)).unwrap();
    assert_eq!(read(&old).unwrap().to_bytes().unwrap(), good);
}

#[test]
fn a_file_that_names_its_regressor_as_before_is_the_same_predictor() {
    let predictor = trained(&NasBench201::new());
    let file = predictor.to_bytes().unwrap();
    let json = metadata(&file).unwrap();
    let former = json.replace("\"regressor\":\"structured\"", "\"regressor\":\"mlp\"");
    assert_ne!(former, json);
    let loaded =
        Predictor::from_bytes(&with_header(&file, Some(former)), Path::new("p.lat")).unwrap();
    assert_eq!(loaded.label(), predictor.label());
    assert_eq!(loaded.to_bytes().unwrap(), file);
}

/// A file's tensors with another header, or without one.
fn with_header(good: &[u8], json: Option<String>) -> Vec<u8> {
    let file = SafeTensors::deserialize(good).unwrap();
    let metadata = json.map(|json| HashMap::from([(KEY.to_owned(), unsealed(&json))]));
    let mut bytes = safetensors::serialize(file.tensors(), metadata.clone()).unwrap();
    if metadata.is_some_and(|m| m[KEY].contains(BLANK_CHECKSUM)) {
        seal(&mut bytes);
    }
    bytes
}

#[test]
fn files_that_are_no_predictor_are_refused_with_a_reason() {
    let folder = folder("predictor-bad");
    let path = folder.join("p.safetensors");
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Predictor::load(&path).unwrap_err().to_string()
    };
    let good = trained(&NasBench201::new()).to_bytes().unwrap();
    assert!(message(b"").contains("no whole safetensors file"));
    assert!(message(b"hello world, hello world").contains("no whole safetensors file"));
    // A cut is noticed wherever it is.
    for len in (0..good.len()).step_by(good.len() / 40) {
        assert!(message(&good[..len]).contains("no whole safetensors file"), "cut at {len}");
    }
    let with = |json| with_header(&good, json);
    assert!(message(&with(None)).contains("lack the key `lat`"));
    assert!(message(&with(Some("{".into()))).contains("is no JSON"));
    assert!(message(&with(Some("{}".into()))).contains("lack `format`"));
    let json = metadata(&good).unwrap();
    let newer = message(&with(Some(json.replace("\"format\":2", "\"format\":3"))));
    assert!(newer.contains("has predictor format 3, but this program reads format 2"), "{newer}");
    let without = message(&with(Some(json.replace("\"column\"", "\"colour\""))));
    assert!(without.contains("missing field `column`"), "{without}");
    let layers = message(&with(Some(json.replace("\"n_layers\":", "\"n_layers\":1"))));
    assert!(layers.contains("layer3"), "{layers}");
    for n_gates in ["3", "1000000000000", "4611686018427387904"] {
        let json = json.replace("\"n_gates\":30", &format!("\"n_gates\":{n_gates}"));
        let gates = message(&with(Some(json)));
        let expected = format!("its gates are {n_gates}, but its decisions have 30 choices");
        assert!(gates.contains(&expected), "{gates}");
    }
    // Hundreds of thousands of empty sums, each of which would be a column with as many rows.
    let sums = format!("{{\"sums\":[{}[]]}}", "[],".repeat(100_000));
    let levels = format!("\"levels\":[{sums},{sums},");
    let wide = message(&with(Some(json.replacen("\"levels\":[", &levels, 1))));
    assert!(wide.contains("not made of its gates"), "{wide}");
    // An endless file.
    let endless = Predictor::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(
        endless.contains("expected a file of at most 256 MiB; found a longer one"),
        "{endless}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// Each number of the file is finite, but the result computed from them is not.
#[test]
fn an_answer_that_is_no_number_is_an_error_and_not_the_floor() {
    let good = trained(&NasBench201::new()).to_bytes().unwrap();
    let json = metadata(&good).unwrap();
    let intercept = json[json.find("\"intercept\":").unwrap()..].split(',').next().unwrap();
    for number in ["1e308", "-1e308"] {
        let json = json.replacen(intercept, &format!("\"intercept\":{number}"), 1);
        let json = json.replacen("\"scale\":\"", "\"scale\":\"log\",\"was\":\"", 1);
        let huge =
            Predictor::from_bytes(&with_header(&good, Some(json)), Path::new("p.lat")).unwrap();
        let space = NasBench201::new();
        let gates = architecture_at(&space, 8, 0).unwrap().gates(space.decisions());
        let answer = huge.price_columns(&gates, 1).map_err(|error| error.to_string());
        let rows = Array2::from_shape_vec((1, 30), gates).unwrap();
        let also = huge.predict_gates(rows.view()).map(|found| found.values);
        match number {
            "1e308" => {
                assert!(
                    answer.unwrap_err().contains("expected a number for latency_ms, found inf")
                );
                assert!(matches!(also, Err(PredictError::NoAnswer { row: 0, .. })));
            }
            _ => assert!(answer.unwrap()[0] > 0.0, "the floor"),
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = Predictor::load(Path::new("/nonexistent/p.lat")).unwrap_err().to_string();
    assert!(missing.starts_with("could not read "), "{missing}");
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let predictor = trained(&NasBench201::new());
    let error = predictor.save(Path::new("/nonexistent/folder/p.safetensors")).unwrap_err();
    assert!(error.to_string().starts_with("could not write /nonexistent/folder/p.safetensors"));
}
