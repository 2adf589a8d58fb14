//! Architectures in the forms in which people keep them: in files, as JSON, over several lines.

use super::lat;

const NORMAL: [(&str, u8); 8] = [
    ("sep_conv_3x3", 0),
    ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 0),
    ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 1),
    ("skip_connect", 0),
    ("skip_connect", 0),
    ("dil_conv_3x3", 2),
];
const REDUCE: [(&str, u8); 8] = [
    ("max_pool_3x3", 0),
    ("max_pool_3x3", 1),
    ("skip_connect", 2),
    ("max_pool_3x3", 1),
    ("max_pool_3x3", 0),
    ("skip_connect", 2),
    ("skip_connect", 2),
    ("max_pool_3x3", 1),
];

/// The text of `DARTS_V2`, with `between` between its words.
fn genotype(between: &str) -> String {
    let list = |pairs: [(&str, u8); 8]| {
        pairs.map(|(op, from)| format!("('{op}', {from})")).join(&format!(",{between}"))
    };
    format!(
        "Genotype(normal=[{}],{between}normal_concat=range(2, 6),{between}reduce=[{}],{between}reduce_concat=range(2, 6))\n",
        list(NORMAL),
        list(REDUCE)
    )
}

fn json() -> String {
    let list =
        |pairs: [(&str, u8); 8]| pairs.map(|(op, from)| format!("[\"{op}\", {from}]")).join(", ");
    format!("{{\"spec\": {{\"normal\": [{}], \"reduce\": [{}]}}}}", list(NORMAL), list(REDUCE))
}

#[test]
fn a_text_in_a_file_is_read_whatever_its_form() {
    let dir = tempfile::tempdir().unwrap();
    let forms = [("arch_1", genotype(" ")), ("arch_2", genotype("\n    ")), ("geno.json", json())];
    for (name, text) in forms {
        std::fs::write(dir.path().join(name), text).unwrap();
        let size = ["--channels", "4", "--layers", "3", "--resolution", "8"];
        let arguments = [&["count", "--space", "darts", "--arch", name][..], &size].concat();
        let done = lat(dir.path()).args(arguments).assert().success();
        let printed = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        assert!(printed.contains("parameters 2,858\n"), "{name}: {printed}");
    }
    // Half of a search's result file is not valid.
    std::fs::write(dir.path().join("half.json"), "{\"architecture\": \"x\", ").unwrap();
    let done = lat(dir.path()).args(["count", "--arch", "half.json"]).assert().code(2);
    let printed = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(printed.contains("search.json"), "{printed}");
}

#[test]
fn predictions_are_a_line_each_and_none_without_an_architecture() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| lat(dir.path()).args(arguments).assert();
    run(&["profile", "--device", "fake", "--space", "darts", "--samples", "60", "--out", "p"])
        .success();
    run(&["train", "--data", "p", "--out", "p.lat"]).success();
    std::fs::write(dir.path().join("both"), genotype(" ") + &genotype("\n  ")).unwrap();
    let done = run(&["predict", "--predictor", "p.lat", "--file", "both"]).success();
    let printed = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let costs: Vec<&str> = printed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(costs.len(), 2, "{printed}");
    assert_eq!(costs[0], costs[1]);
    std::fs::write(dir.path().join("blank"), "\n\n").unwrap();
    let done = run(&["predict", "--predictor", "p.lat", "--file", "blank", "--json", "o.json"]);
    let refused = String::from_utf8(done.code(2).get_output().stderr.clone()).unwrap();
    assert!(refused.contains("expected architectures, found none"), "{refused}");
    assert!(!dir.path().join("o.json").exists());
    let done = run(&["predict", "--predictor", "p.lat", "both"]).code(2);
    let refused = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(refused.contains("--file both"), "{refused}");
}
