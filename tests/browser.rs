//! Opens pages in headless Chromium, if it is installed: there must be no error, and nothing wider than the window.

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::Command as Lat;
use serde_json::Value;

/// Names under which the browser is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Widths of the window that every page must fit.
const WIDTHS: [u32; 2] = [1200, 400];

/// The first of these browsers on the path.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path);
    let all: Vec<PathBuf> = places.flat_map(|place| NAMES.map(|name| place.join(name))).collect();
    all.into_iter().find(|file| file.is_file())
}

/// The browser's report about a page at one width.
#[derive(Debug)]
struct Seen {
    /// Number of the page.
    page: usize,
    width: u64,
    errors: Vec<Value>,
    page_width: u64,
    window_width: u64,
}

impl Seen {
    fn of(seen: &Value) -> Self {
        let number = |key: &str| seen[key].as_u64().unwrap();
        Self {
            page: number("number") as usize,
            width: number("width"),
            errors: seen["errors"].as_array().unwrap().clone(),
            page_width: number("page"),
            window_width: number("window"),
        }
    }

    fn is_sound(&self) -> bool {
        self.errors.is_empty() && self.page_width <= self.window_width
    }
}

/// Shows pages in frames of all widths, one after the other, and reads their reports.
fn look(browser: &Path, dir: &Path, pages: &[String]) -> Vec<Seen> {
    let catch = "<head><script>window.errors = []; addEventListener('error', \
                 e => errors.push(String(e.message || e.target.src || e.target.href)), true);</script>";
    let caught: Vec<String> = pages.iter().map(|html| html.replacen("<head>", catch, 1)).collect();
    let texts = serde_json::to_string(&caught).unwrap().replace("</", "<\\/");
    let harness = format!(
        "<!DOCTYPE html><meta charset=\"utf-8\"><body><script>
        const all = {texts}.flatMap((text, number) => {WIDTHS:?}.map(width => ({{text, number, width}}))), seen = [];
        function next() {{
            if (!all.length) return document.title = JSON.stringify(seen);
            const {{text, number, width}} = all.shift(), frame = document.createElement('iframe');
            frame.style = `border: 0; height: 900px; width: ${{width}}px`;
            frame.srcdoc = text;
            frame.onload = () => {{
                const page = frame.contentDocument.documentElement, errors = frame.contentWindow.errors;
                seen.push({{number, width, errors, page: page.scrollWidth, window: page.clientWidth}});
                frame.remove();
                next();
            }};
            document.body.append(frame);
        }}
        next();
        </script>"
    );
    let file = dir.join("harness.html");
    std::fs::write(&file, harness).unwrap();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--hide-scrollbars", "--virtual-time-budget=60000", "--window-size=1300,1000"]);
    command.arg(format!("--user-data-dir={}", dir.join("browser").display()));
    let out = command.args(["--dump-dom", &format!("file://{}", file.display())]).output().unwrap();
    let dom = String::from_utf8_lossy(&out.stdout);
    // The test page has no title until it is done.
    let title = dom.split("<title>[").nth(1).and_then(|rest| rest.split("</title>").next());
    let error = || String::from_utf8_lossy(&out.stderr).into_owned();
    let title = title.unwrap_or_else(|| panic!("no answer of the browser: {}", error()));
    let seen: Vec<Value> =
        serde_json::from_str(&format!("[{}", title.replace("&amp;", "&"))).unwrap();
    seen.iter().map(Seen::of).collect()
}

/// A folder with a result of each kind, and the pages about them.
fn pages(dir: &Path) -> Vec<PathBuf> {
    let lat = |args: &[&str]| {
        let mut command = Lat::cargo_bin("lat").unwrap();
        command.current_dir(dir).args(["--threads", "1", "--quiet"]).args(args).assert().success();
    };
    for space in ["nasbench201", "darts"] {
        lat(&["profile", "--device", "fake", "--space", space, "--samples", "60"]);
        lat(&["train", "--space", space]);
        let sizes = ["--batch", "256", "--channels", "4", "--layers", "3", "--epochs", "1"];
        let fixed = ["search", "--space", space, "--dataset", "digits", "--finalists", "4"];
        let lambdas = if space == "darts" { &["1"][..] } else { &["0", "1"] };
        for lambda in lambdas {
            lat(&[&fixed[..], &sizes, &["--lambda", lambda]].concat());
        }
    }
    let cell = "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|";
    let sizes = ["--epochs", "1", "--channels", "4", "--layers", "3", "--batch", "256"];
    let fixed = ["evaluate", "--arch", cell, "--dataset", "digits", "--device", "fake"];
    lat(&[&fixed[..], &sizes].concat());
    std::fs::write(dir.join(format!("runs/{}.lat", "long-name-".repeat(15))), "x").unwrap();
    lat(&["report"]);
    let folder = std::fs::read_dir(dir.join("runs/report_files")).unwrap();
    let mut pages: Vec<PathBuf> = folder.map(|page| page.unwrap().path()).collect();
    pages.push(dir.join("runs/report.html"));
    assert_eq!(pages.len(), 2 + 2 + 3 + 1 + 1);
    pages
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests should know what is not tested")]
fn every_page_fits_its_window_and_has_no_errors() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no Chromium on the path");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let files = pages(dir.path());
    let mut texts: Vec<String> =
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    // Faults must be found: an error in a script, and content wider than one of the windows.
    texts.push("<html><head></head><body><script>missing()</script></body></html>".into());
    texts.push("<html><head></head><body><p style=\"width: 800px\">x</p></body></html>".into());
    let seen = look(&browser, dir.path(), &texts);
    assert_eq!(seen.len(), texts.len() * WIDTHS.len());
    for seen in seen {
        let expected = match seen.page.checked_sub(files.len()) {
            None => true,
            Some(0) => false,
            Some(_) => seen.width > 800,
        };
        let file = files.get(seen.page).map(|file| file.display());
        assert_eq!(seen.is_sound(), expected, "{file:?}: {seen:?}");
    }
}
