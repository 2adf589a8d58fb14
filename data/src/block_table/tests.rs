//! Tests of published tables: reading, writing, and wrong files.

use std::path::Path;

use super::*;

const PUBLISHED: &str = "---
# a comment
Conv-input:224x224x3-output:112x112x32:
  count: 982
  mean: 4.083755600814664
  var: 0.2502372872758427
'Logits-input:7x7x1280-output:1000': {count: 982, mean: 0.3096415478615071, var: 0.05}

\"Conv_1-input:7x7x320-output:7x7x1280\":
    mean: 3
";

fn read_one(dir: &Path, name: &str, text: &str) -> Result<BlockFile, String> {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    let found = read_block_tables(&[path]).map_err(|error| error.to_string());
    found.map(|mut files| files.remove(0))
}

#[test]
fn yaml_json_and_csv_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let found = read_one(dir.path(), "a.yaml", PUBLISHED).unwrap();
    assert_eq!(found.rows.len(), 3);
    assert_eq!(found.rows["Conv-input:224x224x3-output:112x112x32"], 4.083_755_600_814_664);
    assert_eq!(found.rows["Logits-input:7x7x1280-output:1000"], 0.309_641_547_861_507_1);
    assert_eq!(found.rows["Conv_1-input:7x7x320-output:7x7x1280"], 3.0);
    let json = read_one(dir.path(), "a.json", "{\"a\": 1.5, \"b\": {\"mean\": 2, \"std\": 1}}");
    assert_eq!(json.unwrap().rows, [("a".to_owned(), 1.5), ("b".to_owned(), 2.0)].into());
    // The column's name decides the unit, whatever the size of the numbers.
    let of = |column: &str| read_one(dir.path(), "a.csv", &format!("name,{column}\na,250\n"));
    assert_eq!(of("latency_ms").unwrap().rows["a"], 250.0);
    assert_eq!(of("latency_us").unwrap().rows["a"], 0.25);
    assert!(of("latency").unwrap_err().contains("latency_ms or latency_us"));
}

#[test]
fn a_folder_is_all_its_tables() {
    let dir = tempfile::tempdir().unwrap();
    let place = vec![dir.path().to_owned()];
    assert!(read_block_tables(&place).unwrap_err().to_string().contains("found none"));
    for name in ["224.yaml", "160.yaml", "notes.txt", "notes.json"] {
        std::fs::write(dir.path().join(name), "a:\n  mean: 1\n").unwrap();
    }
    let found = read_block_tables(&place).unwrap();
    let names: Vec<_> = found.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(names, ["160.yaml", "224.yaml"]);
    let error = read_block_tables(&[dir.path().join("no.yaml")]).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let row = |name: &str, mean_ms| BlockRow { name: name.into(), count: 7, mean_ms, sd_ms: 0.5 };
    let rows = [row("a-input:1x1x3", 1.0 / 3.0), row("b", 1.25e-7), row("c", 0.0)];
    let comments = ["device x\nbatch 1".to_owned()];
    let yaml = block_yaml(&rows, Spread::Std, &comments);
    assert!(yaml.starts_with("# device x batch 1\na-input:1x1x3:\n  count: 7\n  mean: 0.33"));
    assert!(yaml.contains("  mean: 0.000000125\n  std: 0.5\n"), "{yaml}");
    assert!(block_yaml(&rows, Spread::Var, &[]).contains("  var: 0.25\n"));
    for (name, text) in [("w.yaml", yaml), ("w.json", block_json(&rows))] {
        let found = read_one(dir.path(), name, &text).unwrap().rows;
        let expected = rows.iter().map(|row| (row.name.clone(), row.mean_ms));
        assert_eq!(found, expected.collect());
    }
}

#[test]
fn what_is_no_table_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let told = |text: &str| read_one(dir.path(), "t.yaml", text).unwrap_err();
    for wrong in ["-1", "NaN", "nan", ".nan", "inf", "", "1 ms", "1e300"] {
        let error = told(&format!("a:\n  count: 1\n  mean: {wrong}\n"));
        assert!(error.contains("mean of row 'a' in line 3"), "{error}");
        assert!(error.contains(&format!("found '{wrong}'")), "{error}");
    }
    assert!(told("a:\n  std: -1\n").contains("std of row 'a'"));
    assert!(told("a:\n  mean: 1\na:\n  mean: 2\n").contains("one number for row 'a'"));
    assert!(told("a:\n  mean: 1\n  mean: 1\n").contains("one mean of row 'a' in line 3"));
    assert!(told("a:\n  count: 1\nb:\n  mean: 2\n").contains("a mean under row 'a' in line 1"));
    assert!(told("a:\n  median: 1\n").contains("count, mean, std, var"));
    assert!(told("  mean: 1\n").contains("line 1 to be the name of a row"));
    assert!(told("- a\n").contains("line 1 to be the name of a row"));
    assert!(told("'a:\n  mean: 1\n").contains("line 1 to be the name of a row"));
    assert!(told("# nothing\n").contains("at least one row"));
    read_one(dir.path(), "t.yaml", "a:\n  mean: 1\na:\n  mean: 1\n").unwrap();

    let told = |text: &str| read_one(dir.path(), "t.json", text).unwrap_err();
    assert!(told("{\"a\": -1}").contains("row 'a'") && told("{\"a\": null}").contains("'null'"));
    assert!(told("{\"a\": 1, \"a\": 2}").contains("one number for row 'a'"));
    assert!(told("{\"a\": {\"std\": 1}}").contains("'null'"));
    assert!(told("[1]").contains("a JSON object"));
    let told = |text: &str| read_one(dir.path(), "t.csv", text).unwrap_err();
    assert!(told("n,latency_ms\na;1\n").contains("in line 2"));
    assert!(told("n,latency_ms\na,x\n").contains("row 'a' in line 2"));
    assert!(read_one(dir.path(), "t.txt", "a").unwrap_err().contains("ends in .yaml"));
}
