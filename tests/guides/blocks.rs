//! Fenced blocks of a page: their commands, the expected output, and files that the page contains.

/// A fenced block. Its first line may have, after the language and separated by commas: `no-test` (not run; the page says why),
/// `elsewhere` (run, but the output shown is from another device), `exit=N` (expected exit status, 0 otherwise), `file=NAME` (the
/// block is the content of that file).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub steps: Vec<Step>,
    pub exit: i32,
    pub is_skipped: bool,
    pub is_elsewhere: bool,
    pub file: Option<String>,
    pub text: String,
}

/// A command, its line on the page, and the output that the page shows below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub line: usize,
    pub command: String,
    pub expected: Vec<String>,
}

/// All fenced blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<(usize, &str)> = lines
            .by_ref()
            .take_while(|(_, line)| *line != "```")
            .map(|(i, l)| (i + 1, l))
            .collect();
        blocks.push(block(info, &body));
    }
    blocks
}

fn block(info: &str, body: &[(usize, &str)]) -> Block {
    let (language, attributes) = info.split_once(',').unwrap_or((info, ""));
    let mut block = Block {
        steps: match language {
            "sh" => commands(body),
            "console" => session(body),
            _ => Vec::new(),
        },
        exit: 0,
        is_skipped: false,
        is_elsewhere: false,
        file: None,
        text: body.iter().map(|(_, line)| format!("{line}\n")).collect(),
    };
    for attribute in attributes.split(',').filter(|a| !a.is_empty()) {
        match attribute.split_once('=') {
            None if attribute == "no-test" => block.is_skipped = true,
            None if attribute == "elsewhere" => block.is_elsewhere = true,
            Some(("exit", status)) => block.exit = status.parse().unwrap(),
            Some(("file", name)) => block.file = Some(name.to_owned()),
            _ => panic!(
                "expected no-test, elsewhere, exit=N or file=NAME after {language}; found {attribute}"
            ),
        }
    }
    block
}

/// Every line is a command; a line that ends in a backslash continues on the next.
fn commands(body: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for &(line, text) in body {
        let (part, more) = continued(text);
        if goes_on {
            steps.last_mut().unwrap().command.push_str(part.trim_start());
        } else if !part.trim_start().starts_with('#') && !part.trim().is_empty() {
            steps.push(Step { line, command: part.to_owned(), expected: Vec::new() });
        }
        goes_on = more;
    }
    steps
}

/// A command follows `$ `; the lines below it are its output.
fn session(body: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for &(line, text) in body {
        let begins = text.strip_prefix("$ ");
        if goes_on || begins.is_some() {
            let (part, more) = continued(begins.unwrap_or(text));
            if begins.is_some() {
                steps.push(Step { line, command: part.to_owned(), expected: Vec::new() });
            } else {
                steps.last_mut().unwrap().command.push_str(part.trim_start());
            }
            goes_on = more;
        } else {
            let step = steps.last_mut().expect("a console block begins with a command");
            step.expected.push(text.to_owned());
        }
    }
    steps
}

/// A line without a backslash at its end, and whether it had one.
fn continued(line: &str) -> (&str, bool) {
    line.strip_suffix('\\').map_or((line, false), |part| (part, true))
}

/// The first expected line that the output does not contain after the previous ones. Numbers, architectures and widths of columns
/// may differ, and `...` matches anything.
pub(crate) fn missing(expected: &[String], output: &str) -> Option<String> {
    let printed: Vec<String> = output.lines().map(plain).collect();
    let mut from = 0;
    for line in expected {
        let wanted = plain(line);
        match printed[from..].iter().position(|line| fits(&wanted, line)) {
            Some(at) if wanted != "..." => from += at + 1,
            Some(_) => {}
            None if wanted == "..." => {}
            None => return Some(line.clone()),
        }
    }
    None
}

/// Whether a line is the wanted one; `...` matches anything in it.
fn fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || is_open
}

/// The words of a line with one blank between them. Numbers become 0 without a sign, and architectures of cells become `ARCH`.
fn plain(line: &str) -> String {
    let word = |word: &str| {
        if word.starts_with('|') {
            return "ARCH".to_owned();
        }
        let mut plain = String::new();
        for c in word.chars() {
            match c {
                '0'..='9' if plain.ends_with('0') => {}
                '0'..='9' => plain.push('0'),
                _ => plain.push(c),
            }
        }
        plain.replace("0.0", "0").replace("+0", "0").replace("-0", "0")
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn blocks_are_read_with_their_attributes() {
    let page =
        "a\n```sh,exit=2\n# why\nlat a \\\n  --b\nlat c\n```\n```toml,file=x.toml\nid = 1\n```\n";
    let found = blocks(page);
    let command =
        |line, command: &str| Step { line, command: command.to_owned(), expected: vec![] };
    assert_eq!(found[0].steps, [command(4, "lat a --b"), command(6, "lat c")]);
    assert_eq!((found[0].exit, found[0].is_skipped), (2, false));
    assert_eq!((found[1].file.as_deref(), found[1].text.as_str()), (Some("x.toml"), "id = 1\n"));
}

#[test]
fn a_session_has_commands_and_what_they_print() {
    let found = blocks("```console\n$ lat a \\\n  --b\nsays 1\n$ lat c\n```\n");
    assert_eq!(found[0].steps[0].command, "lat a --b");
    assert_eq!(found[0].steps[0].expected, ["says 1"]);
    assert_eq!(found[0].steps[1].command, "lat c");
}

#[test]
fn output_is_compared_but_for_numbers_and_what_is_left_out() {
    let has = |expected: &[&str], output: &str| {
        let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
        missing(&expected, output).is_none()
    };
    assert!(has(&["MAPE 1.25 % ..."], "before\nMAPE  0.3 % on 12 rows\n"));
    assert!(has(&["a ... c", "d"], "a b c\nx\nd\n"));
    assert!(has(&["|none~0|"], "|skip~0|\n"));
    assert!(!has(&["d", "a"], "a\nd\n"), "in order");
    assert!(!has(&["MAPE 1.25 %"], "MAE 1.25 %\n"));
    assert!(!has(&["MAPE"], "MAPE 3\n"), "whole lines");
}
