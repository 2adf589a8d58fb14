//! Tests of declared spaces.

use super::*;

/// The example's space, with one entry for each line that the example writes as a range.
const OFA: &str = r#"
id = "ofa-table"
[[decision]]
name = "resolution"
values = { from = 128, to = 224, step = 4 }
scale = true
[[decision]]
name = "d{0..4}"
values = [2, 3, 4]
[[decision]]
name = "k{00..19}"
values = [3, 5, 7]
block = "slot{i}"
stage = "stage{i/4}"
present = "d{i/4} > {i%4}"
[[decision]]
name = "e{00..19}"
values = [3, 4, 6]
block = "slot{i}"
present = "d{i/4} > {i%4}"
"#;

const CELL: &str = r#"
id = "cell"
text = "|{e01}~0|+|{e02}~0|{e12}~1|"
[[decision]]
name = "e01"
choices = ["none", "skip", "conv"]
codes = [0, 1, 2]
edge = [0, 1]
[[decision]]
name = "e02"
choices = ["none", "skip", "conv"]
codes = [0, 1, 2]
edge = [0, 2]
[[decision]]
name = "e12"
choices = ["none", "skip", "conv"]
codes = [0, 1, 2]
edge = [1, 2]
"#;

fn id(space: &DeclaredSpace, name: &str) -> DecisionId {
    space.decisions().iter().position(|d| d.name == name).unwrap()
}

fn message(toml: &str) -> String {
    DeclaredSpace::read(toml).unwrap_err().to_string()
}

#[test]
fn a_kept_declaration_may_have_the_name_of_a_space_built_in_later() {
    let kept = OFA.replace("ofa-table", "ofa");
    assert!(message(&kept).contains("found 'ofa', which is built in"));
    assert_eq!(DeclaredSpace::read_kept(&kept).unwrap().id(), "ofa");
}

#[test]
fn ranges_blocks_stages_and_presence_are_filled_in() {
    let space = DeclaredSpace::read(OFA).unwrap();
    let structure = space.structure();
    assert_eq!(space.decisions().len(), 46);
    assert_eq!(space.decisions()[0].choices.len(), 25);
    assert_eq!(structure.scales, [0]);
    assert!((structure.values[0].as_ref().unwrap()[24] - 224.0).abs() < 1e-9);
    assert_eq!((structure.blocks.len(), structure.pairs.len()), (25, 24));
    assert_eq!(structure.blocks[5 + 7], [id(&space, "k07"), id(&space, "e07")]);
    assert_eq!(structure.stages.len(), 5);
    assert_eq!(structure.stages[1], [9, 10, 11, 12]);
    let presence = |name| structure.presence[id(&space, name)].clone();
    assert_eq!(presence("k05"), None);
    let choices = |name| presence(name).map(|p| (p.decision, p.choices));
    assert_eq!(choices("k06"), Some((id(&space, "d1"), vec![1, 2])));
    assert_eq!(choices("e19"), Some((id(&space, "d4"), vec![2])));
    let class = |name| structure.classes[id(&space, name)];
    assert_eq!(class("k19"), class("k00"));
    assert_ne!(class("k00"), class("e00"));
    assert_eq!(structure.edges, None);
}

#[test]
fn what_is_not_built_is_neither_written_nor_told_apart() {
    let space = DeclaredSpace::read(OFA).unwrap();
    let choices = |unbuilt| {
        let mut choices = vec![Some(0); 46];
        choices[id(&space, "k03")] = unbuilt;
        space.architecture(&choices)
    };
    let architecture = choices(Some(0)).unwrap();
    assert_eq!(choices(Some(2)).unwrap(), architecture);
    assert_eq!(choices(None).unwrap(), architecture);
    let text = space.format(&architecture);
    assert!(text.starts_with("resolution=128,d0=2,") && !text.contains("k02"), "{text}");
    assert_eq!(space.parse(&text).unwrap(), architecture);
    assert_eq!(space.parse(&format!("{text},k03=7")).unwrap(), architecture);
    assert_eq!(space.parse(&text.replace("=128", "= 128.0")).unwrap(), architecture);
    assert!(space.check(&architecture).is_ok());
    let deeper = text.replace("d0=2", "d0=3");
    let error = space.parse(&deeper).unwrap_err().to_string();
    assert!(error.contains("for 'k02' one of 3, 5, 7 in the text"), "{error}");
    let mut choices = vec![Some(0); 46];
    choices[id(&space, "d0")] = None;
    assert_eq!(space.architecture(&choices), Err(id(&space, "d0")));
}

#[test]
fn texts_that_are_no_architecture_are_quoted() {
    let space = DeclaredSpace::read(OFA).unwrap();
    let error = |text| space.parse(text).unwrap_err().to_string();
    assert!(error("").contains("such as resolution=128, found ''"), "{}", error(""));
    assert!(error("depth=3").contains("names of its 46 decisions, found 'depth=3'"));
    assert!(error("d0=3,d0=3").contains("each decision once"));
    assert!(error("resolution=129").contains("for 'resolution' one of 128, 132"));
}

#[test]
fn a_template_reads_what_it_writes() {
    let space = DeclaredSpace::read(CELL).unwrap();
    let text = "|conv~0|+|none~0|skip~1|";
    let architecture = space.parse(text).unwrap();
    assert_eq!(architecture, Architecture::new("cell", [2, 0, 1]));
    assert_eq!(space.format(&architecture), text);
    assert_eq!(space.parse("|2~0|+|0~0|1.0~1|").unwrap(), architecture);
    let error = |text| space.parse(text).unwrap_err().to_string();
    assert!(error("|conv~0|").contains("the form |{e01}~0|+|{e02}~0|{e12}~1|, found '|conv~0|'"));
    assert!(error("|pool~0|+|none~0|skip~1|").contains("for 'e01' one of none, skip, conv"));
    let edges = space.structure().edges.unwrap();
    assert_eq!((edges.input, edges.output, edges.ends[2]), (0, 2, Some((1, 2))));
    assert_eq!(space.structure().classes, [0, 0, 0]);
}

#[test]
fn names_numbers_and_codes_stand_for_choices() {
    let space = DeclaredSpace::read(CELL).unwrap();
    for cell in ["conv", " conv ", "2", "2.0"] {
        assert_eq!(space.find_choice(0, cell), Some(2), "{cell}");
    }
    for cell in ["", "3", "Conv", "NaN"] {
        assert_eq!(space.find_choice(0, cell), None, "{cell}");
    }
    let ofa = DeclaredSpace::read(OFA).unwrap();
    assert_eq!(ofa.find_choice(0, "224.0"), Some(24));
    assert_eq!(ofa.find_choice(0, "2.24e2"), Some(24));
    assert_eq!(ofa.find_choice(0, "225"), None);
}

fn refused(toml: &str, expected: &str) {
    let message = message(toml);
    assert!(message.contains(expected), "{toml}\n{message}");
    assert!(!message.contains('\n'), "{message}");
}

fn decision(rest: &str) -> String {
    format!("id = \"a\"\n[[decision]]\n{rest}")
}

#[test]
fn bad_files_are_refused_with_the_place() {
    let many = (0..33).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    for (toml, expected) in [
        ("id = ".to_owned(), "line 1 of the space file: expected a space declared in TOML"),
        ("id = \"a\"\n\nkind = 3".to_owned(), "line 3 of the space file: "),
        (decision("name = \"d\"\nvalues = [1]\nstages = \"1\""), "unknown field `stages`"),
        ("[[decision]]\nname = \"d\"".to_owned(), "missing field `id`"),
        ("id = \"a b\"".to_owned(), "key `id`: expected a name of letters"),
        ("id = \"darts\"".to_owned(), "found 'darts', which is built in"),
        ("id = \"a\"".to_owned(), "expected at least one [[decision]]"),
        (
            decision("name = \"d\""),
            "one of `values` (numbers), `choices` (names) or `number` (a range); found neither",
        ),
        (decision("name = \"d\"\nvalues = [1]\nchoices = [\"a\"]"), "found both"),
        (
            decision("name = \"d\"\nvalues = []"),
            "decision 'd', key `values`: expected at least one",
        ),
        (decision("name = \"d\"\nchoices = []"), "key `choices`: expected at least one choice"),
        (decision(&format!("name = \"d\"\nvalues = [{many}]")), "at most 32 choices"),
        (decision("name = \"d\"\nvalues = [1, 1.0]"), "each choice once; found '1' twice"),
        (decision("name = \"d\"\nvalues = [nan]"), "expected a list of numbers"),
        (decision("name = \"d\"\nvalues = { from = 1, to = 9 }"), "expected a list of numbers"),
        (decision("name = \"d\"\nvalues = { from = 1, to = 9, step = 0 }"), "a step above zero"),
        (decision("name = \"d\"\nchoices = [1]"), "a list of names in quotes"),
        (decision("name = \"d\"\nchoices = [\" a\"]"), "without blanks"),
        (decision("name = \"d\"\nchoices = [\"a,b\"]"), "without , and ="),
        (
            decision("name = \"d\"\nchoices = [\"a\"]\ncodes = [1, 2]"),
            "a code per choice, 1 of them; found 2",
        ),
        (
            decision("name = \"d\"\nchoices = [\"a\", \"1\"]\ncodes = [1, 2]"),
            "the name of another choice",
        ),
        (decision("name = \"d\"\nvalues = [1]\ncodes = [1]"), "codes beside `choices` only"),
        (
            decision("name = \"d\"\nvalues = [1]\n[[decision]]\nname = \"d\"\nvalues = [1]"),
            "found 'd' twice",
        ),
    ] {
        refused(&toml, expected);
    }
}

#[test]
fn references_between_decisions_are_checked() {
    for (toml, expected) in [
        (decision("name = \"d\"\nvalues = [1]\nscale = true\nblock = \"b\""), "key `scale`"),
        (
            decision("name = \"d\"\nvalues = [1]\nblock = \"b{i}\""),
            "key `block`: expected a text in which {i}",
        ),
        (decision("name = \"d\"\nvalues = [1]\npresent = \"x > 1\""), "found 'x' in 'x > 1'"),
        (decision("name = \"d\"\nvalues = [1]\npresent = \"d > 1\""), "always exists"),
        (decision("name = \"d\"\nvalues = [1]\npresent = \"d\""), "a decision, one of ="),
        (
            decision(
                "name = \"d{0..1}\"\nvalues = [1]\nclass = \"c\"\n[[decision]]\nname = \"e\"\nvalues = [2]\nclass = \"c\"",
            ),
            "decisions with the same choices",
        ),
        (
            decision("name = \"d{0..1}\"\nvalues = [1]\nblock = \"b\"\nstage = \"{i}\""),
            "found '1' after '0'",
        ),
    ] {
        refused(&toml, expected);
    }
}

#[test]
fn conditions_are_checked() {
    let with = |present: &str| {
        format!(
            "id = \"a\"\n[[decision]]\nname = \"n\"\nvalues = [1, 2]\n[[decision]]\nname = \"op\"\nchoices = [\"a\", \"b\", \"c\"]\n\
             [[decision]]\nname = \"k\"\nvalues = [3]\npresent = \"{present}\"\n"
        )
    };
    let choices = |present: &str| {
        let space = DeclaredSpace::read(&with(present)).unwrap();
        space.structure().presence[2].clone().map(|p| (p.decision, p.choices))
    };
    assert_eq!(choices("op = a, c"), Some((1, vec![0, 2])));
    assert_eq!(choices("op != a"), Some((1, vec![1, 2])));
    assert_eq!(choices("n>=2"), Some((0, vec![1])));
    assert_eq!(choices("n <= 1"), Some((0, vec![0])));
    assert_eq!(choices("n == 2.0"), Some((0, vec![1])));
    assert_eq!(choices("n < 9"), None);
    for (present, expected) in [
        ("op = z", "one of its choices a, b, c; found 'z'"),
        ("op > a", "choices are numbers"),
        ("n > x", "a number to compare with; found 'x'"),
        ("n > 2", "which none of 1, 2 does"),
    ] {
        let message = message(&with(present));
        assert!(message.contains(expected), "{present}: {message}");
    }
}

#[test]
fn graphs_have_one_input_and_one_output() {
    let with = |old: &str, new: &str| message(&CELL.replace(old, new));
    assert!(with("edge = [0, 1]", "edge = [1, 0]").contains("the lower first"));
    assert!(with("edge = [0, 1]", "edge = [1, 1]").contains("found [1, 1]"));
    assert!(with("edge = [1, 2]", "edge = [1, 9]").contains("all paths end at; found nodes 2, 9"));
    assert!(
        with("edge = [0, 2]", "edge = [3, 4]").contains("all paths begin at; found nodes 0, 3")
    );
    assert!(with("\"none\"", "\"zero\"").contains("a choice named `none`"));
    assert!(with("edge = [0, 1]", "edge = [0]").contains("line"));
}

#[test]
fn templates_are_checked() {
    let with = |text: &str| message(&CELL.replace("|{e01}~0|+|{e02}~0|{e12}~1|", text));
    assert!(with("{e01}-{e02}").contains("each decision once; found {e12} 0 times"));
    assert!(with("{e01}-{e02}-{e12}-{e12}").contains("found {e12} 2 times"));
    assert!(with("{e01}{e02}-{e12}").contains("none behind {e01}"));
    assert!(with("{e01}-{e02}-{e13}").contains("names of decisions between braces; found '{e13}'"));
    assert!(with("{e01}-{e02}-{e12").contains("without a closing brace"));
    assert!(with("{e01}on{e02}-{e12}").contains("'on' behind {e01}, which has 'none'"));
}

#[test]
fn the_files_that_ship_with_the_project_declare_spaces() {
    let read = |text| DeclaredSpace::read(text).unwrap_or_else(|error| panic!("{error}"));
    let ofa = read(include_str!("../../../examples/spaces/ofa.toml"));
    assert_eq!(ofa.structure(), read(OFA).structure());
    let fbnet = read(include_str!("../../../examples/spaces/fbnet.toml")).structure();
    let sizes: Vec<usize> = fbnet.stages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 4, 4, 4, 4, 4, 1]);
    assert_eq!(fbnet.classes, [0; 22]);
    let mnasnet = read(include_str!("../../../examples/spaces/mnasnet.toml"));
    assert_eq!(mnasnet.decisions().len(), 28);
    assert!(mnasnet.structure().blocks.iter().all(|block| block.len() == 4));
    assert_eq!(mnasnet.structure().pairs.len(), 21);
    let cell = read(include_str!("../../../examples/spaces/nasbench201.toml"));
    let built_in = crate::NasBench201::new();
    let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|";
    let architecture = cell.parse(text).unwrap();
    assert_eq!(architecture.choices, built_in.parse(text).unwrap().choices);
    assert_eq!(cell.format(&architecture), text);
    assert_eq!(cell.structure().edges, built_in.structure().edges);
}

const OPERATORS: &str = r#"
id = "attention"
text = "b{batch}-s{sequence}-{kind}"
[[decision]]
name = "batch"
number = { from = 1, to = 64 }
[[decision]]
name = "sequence"
number = { from = 1, to = 32768 }
[[decision]]
name = "kind"
choices = ["full", "window"]
"#;

#[test]
fn a_number_is_any_value_of_its_range() {
    let space = DeclaredSpace::read(OPERATORS).unwrap();
    let architecture = space.parse("b16-s2999.5-window").unwrap();
    assert_eq!(space.format(&architecture), "b16-s2999.5-window");
    space.check(&architecture).unwrap();
    let taken = architecture.choices[1];
    assert_eq!((taken.number(), taken.len(), taken.iter().count()), (Some(2999.5), 1, 1));
    assert!(taken.contains(taken.only().unwrap()) && !taken.contains(0));
    let gates = architecture.gates(space.decisions());
    assert_eq!(gates.len(), 2 + 2 + 2);
    assert!((gates[1] - 4.0 / 6.0).abs() < 1e-6 && gates[4..] == [0.0, 1.0], "{gates:?}");
    let other = space.parse("b16-s2999-window").unwrap();
    assert!(other != architecture && !other.choices[1].intersects(taken));
    for (text, expected) in [
        ("b65-s1-full", "for 'batch' a number from 1 to 64"),
        ("b1-sx-full", "for 'sequence' a number from 1 to 32768"),
        ("b1-s1-half", "for 'kind' one of full, window"),
    ] {
        let error = space.parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn features_of_numbers_are_their_logarithms_and_products() {
    let space = DeclaredSpace::read(OPERATORS).unwrap();
    let map = crate::FeatureMap::structured(&space);
    let gates = space.parse("b8-s181.01933598375618-full").unwrap().gates(space.decisions());
    let code = map.encode(&gates);
    let of = |name: &str| {
        let place = map.features.iter().position(|feature| feature.name == name);
        f64::from(code[place.unwrap_or_else(|| panic!("{name}"))])
    };
    assert!((of("batch=ln value") - 0.5).abs() < 1e-6);
    assert!((of("(sequence=ln value)^2") - 0.25).abs() < 1e-5);
    assert!((of("batch=ln value*sequence=ln value") - 0.25).abs() < 1e-5);
    assert!((of("batch=ln value*kind=full") - 0.5).abs() < 1e-6);
    assert!((of("batch=value") - 7.0 / 63.0).abs() < 1e-6);
}

#[test]
fn a_number_s_declaration_is_checked() {
    let declared = |rest: &str| {
        DeclaredSpace::read(&format!("id = \"x\"\n[[decision]]\nname = \"n\"\n{rest}"))
    };
    assert!(declared("number = { from = 0, to = 1.5 }").is_ok());
    for (rest, expected) in [
        ("number = 3", "{ from = 1, to = 32768 }"),
        ("number = { from = 3, to = 3 }", "its begin below its end"),
        ("number = { from = 1 }", "{ from = 1, to = 32768 }"),
        ("number = { from = 1, to = 2 }\nvalues = [1]", "`values` too"),
        ("number = { from = 1, to = 2 }\nscale = true", "`scale` too"),
        (
            "number = { from = 1, to = 2 }\n[[decision]]\nname = \"d\"\nvalues = [1, 2]\npresent = \"n > 1\"",
            "no plain number",
        ),
    ] {
        let error = declared(rest).unwrap_err().to_string();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let text = "id = \"x\"\ntext = \"{a}.{b}\"\n[[decision]]\nname = \"a\"\nnumber = { from = 1, to = 2 }\n\
                [[decision]]\nname = \"b\"\nvalues = [1]";
    let error = DeclaredSpace::read(text).unwrap_err().to_string();
    assert!(error.contains("a part of a number"), "{error}");
}
