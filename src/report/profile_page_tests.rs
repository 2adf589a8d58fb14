//! Tests of a profile's page.

use std::sync::atomic::AtomicBool;

use lat_profiler::{DeviceSpec, ProfileOptions, header, run};
use lat_space::{find_skeleton, find_space};
use serde_json::Value;

use super::super::columns::COLUMNS;
use super::*;

fn fake_run(samples: u64) -> (RunHeader, Vec<Measurement>) {
    let space = find_space("nasbench201").unwrap();
    let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
    let options = ProfileOptions { samples, ..ProfileOptions::new(skeleton, DeviceSpec::Fake) };
    let mut rows: Vec<Measurement> = Vec::new();
    run(space.as_ref(), &options, &mut rows, &mut |_| (), &AtomicBool::new(false)).unwrap();
    (header(space.as_ref(), &options), rows)
}

fn page(header: &RunHeader, rows: &[Measurement], finished: bool) -> String {
    profile_page(&ProfileRun {
        name: "runs/<x>",
        header,
        rows,
        finished,
        predictions: None,
        links: &[],
    })
}

#[test]
fn the_page_of_a_run_has_its_verdict_and_its_pictures() {
    let (header, rows) = fake_run(60);
    let html = page(&header, &rows, true);
    assert!(html.contains("VALID: ") && !html.contains("INVALID"), "the fake device is steady");
    assert!(html.contains("nasbench201 on fake device with known costs, batch 1"));
    assert!(html.contains("runs/&lt;x&gt;") && html.contains("lat train` learns one"));
    assert!(html.matches("<svg").count() > 5 && !html.contains("Nothing to draw"));
    let fastest = rows.iter().filter(|row| row.role == Role::Sample);
    let fastest = fastest.min_by(|a, b| a.latency_ms.total_cmp(&b.latency_ms)).unwrap();
    assert!(html.contains(&super::super::html::escape(&fastest.architecture)));
}

#[test]
fn an_unfinished_run_is_invalid_and_says_what_to_do() {
    let (header, rows) = fake_run(20);
    let html = page(&header, &rows, false);
    assert!(html.contains("INVALID because the run is not finished"));
    assert!(html.contains("same `lat profile` command again"));
}

#[test]
fn damaged_text_failed_and_replaced_rows_do_no_harm() {
    let (mut header, mut rows) = fake_run(20);
    header.device_name = "<script>x</script>".into();
    let again = Measurement { attempt: 1, ..rows[5].clone() };
    rows.push(again);
    for row in &mut rows[..4] {
        row.status = Status::Failed;
        row.latency_ms = f64::NAN;
        row.reason = "no <room>".into();
    }
    let html = page(&header, &rows, true);
    assert!(!html.contains("<script"));
    assert!(html.contains("no &lt;room&gt;") && html.contains("1 that a later attempt replaced"));
    // All rows failed: instead of pictures there is a remark, and tables are empty.
    for row in &mut rows {
        row.status = Status::Failed;
    }
    assert!(page(&header, &rows, true).contains("Nothing to draw"));
}

#[test]
fn a_clock_that_went_backwards_or_stood_still_does_no_harm() {
    let (header, mut rows) = fake_run(60);
    for (place, row) in rows.iter_mut().enumerate() {
        row.unix_s = if place < 30 { 1.8e9 } else { 1.7e9 - place as f64 };
    }
    let html = page(&header, &rows, true);
    assert!(html.contains("VALID: ") && !html.contains("Nothing to draw"));
    for row in &mut rows {
        row.unix_s = 0.0;
    }
    assert!(page(&header, &rows, true).matches("<svg").count() > 5);
}

#[test]
fn every_column_of_a_row_is_explained() {
    let (_, rows) = fake_run(20);
    let row = serde_json::to_value(&rows[0]).unwrap();
    let Value::Object(fields) = row else { panic!("a row is an object") };
    for field in fields.keys() {
        assert!(COLUMNS.iter().any(|(name, _)| name == field), "{field} is not explained");
    }
}
