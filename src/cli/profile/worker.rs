//! One of several devices: the process that measures on it, and how it is restarted when it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use indicatif::ProgressBar;
use lat_data::{AtHand, Journal, Measurement, RowCounter, RunHeader, has_run, read_run};
use lat_profiler::{ProfileOptions, Task, is_sticky, lost_row, next_task};
use lat_space::SearchSpace;

use super::fresh::ENDED;
use crate::cli::STOP;
use crate::cli::failure::failed;
use crate::cli::output::Screen;

/// How often one architecture may end the process that measures it before it is given up.
const TRIES: u32 = 3;
/// After this many architectures in a row were lost that way, the worker is given up: the fault then lies with the device.
const MOST_LOST: u32 = 5;
/// File name of a worker's verdict in its folder.
pub(super) const VERDICT: &str = "verdict.json";

/// How a worker ended.
enum End {
    /// Its shard is finished, or it was asked to stop.
    Quiet,
    /// It cannot go on, for this reason.
    GaveUp(String),
}

/// One device with its shard and the process that measures it.
pub(super) struct Worker<'a> {
    space: &'a dyn SearchSpace,
    options: ProfileOptions,
    dir: PathBuf,
    child: Child,
    /// The lines that the process prints on standard error.
    lines: Receiver<String>,
    /// The last of these lines, or the error messages among them.
    last_line: String,
    counter: RowCounter,
    /// The task at which processes ended, how many of them did, and how many tasks in a row were lost that way.
    at: Option<Task>,
    tries: u32,
    lost: u32,
    end: Option<End>,
}

impl<'a> Worker<'a> {
    /// Starts measuring the shard that the options name into `dir`.
    pub(super) fn start(
        space: &'a dyn SearchSpace,
        options: ProfileOptions,
        dir: PathBuf,
    ) -> anyhow::Result<Self> {
        let (child, lines) = spawn(&options, &dir)?;
        let counter = RowCounter::new(&dir);
        let last_line = String::new();
        Ok(Self {
            space,
            options,
            dir,
            child,
            lines,
            last_line,
            counter,
            at: None,
            tries: 0,
            lost: 0,
            end: None,
        })
    }

    /// Whether the worker has ended, finished or given up.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Asks the process to stop by closing its input.
    pub(super) fn ask_to_stop(&mut self) {
        self.child.stdin = None;
    }

    /// Rows measured so far.
    pub(super) fn rows(&mut self) -> u64 {
        self.counter.count()
    }

    /// The worker's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Forwards the process's output and, if the process has ended, decides how to go on.
    pub(super) fn look(&mut self, bar: &ProgressBar, screen: Screen) -> anyhow::Result<()> {
        let ended = self.child.try_wait().context("could not look after a worker")?;
        // Once the process has ended, wait for its remaining lines: the sending thread closes the channel after the last one.
        while let Some(line) =
            if ended.is_some() { self.lines.recv().ok() } else { self.lines.try_recv().ok() }
        {
            // An error message is kept and printed later, together with the consequence.
            match line.strip_prefix("lat: ") {
                // A fresh process started by the worker prints its error before the worker prints its own.
                Some(error) if is_sticky(&self.last_line) => {
                    self.last_line = format!("{}; {error}", self.last_line);
                }
                Some(error) => error.clone_into(&mut self.last_line),
                None if line.trim().is_empty() => {}
                None => {
                    screen.warn(Some(bar), &format!("{}: {line}", self.name()));
                    self.last_line = line;
                }
            }
        }
        if let Some(status) = ended {
            self.after(status, bar, screen)?;
        }
        Ok(())
    }

    fn after(
        &mut self,
        status: ExitStatus,
        bar: &ProgressBar,
        screen: Screen,
    ) -> anyhow::Result<()> {
        let was_killed = status.code().is_none();
        let was_asked = STOP.load(Ordering::Relaxed) && matches!(status.code(), None | Some(130));
        if status.success() || was_asked {
            self.end = Some(End::Quiet);
        } else if was_killed || is_sticky(&self.last_line) || self.last_line.contains(ENDED) {
            let reason = if was_killed { status.to_string() } else { self.last_line.clone() };
            self.retry(&reason, bar, screen)?;
        } else {
            self.end = Some(End::GaveUp(self.last_line.clone()));
        }
        Ok(())
    }

    /// Starts the process again. If it ended [`TRIES`] times at one task, that task gets a failed row first.
    fn retry(&mut self, reason: &str, bar: &ProgressBar, screen: Screen) -> anyhow::Result<()> {
        let recorded = if has_run(&self.dir) { Some(read_run(&self.dir)?) } else { None };
        let rows = recorded.as_ref().map_or(&[][..], |(_, rows)| rows);
        // The process has recorded which row it was measuring, whichever attempt it was. If it ended before it began a row, it was
        // about to begin the next one.
        let at_hand = AtHand::read(&self.dir, rows);
        let attempt = at_hand.map_or(0, |row| row.attempt);
        let said =
            at_hand.map(|AtHand { role, index, occurrence, .. }| Task { role, index, occurrence });
        let task = said.or_else(|| next_task(self.space, &self.options, rows));
        self.count(task, rows);
        let name = self.name();
        let at = |task: Task| format!("at {} {}", task.role.name(), task.index);
        let what = task.map_or("after its last row".into(), at);
        let line =
            format!("{name}: its process ended {what}, try {} of {TRIES}: {reason}", self.tries);
        screen.warn(Some(bar), &line);
        if self.tries == TRIES {
            let (Some((header, _)), Some(task)) = (&recorded, task) else {
                let text = format!("its process ended {TRIES} times {what}: {reason}");
                self.end = Some(End::GaveUp(text));
                return Ok(());
            };
            self.lose(header, task, attempt, reason)?;
        }
        if self.end.is_none() {
            (self.child, self.lines) = spawn(&self.options, &self.dir)?;
            self.last_line.clear();
        }
        Ok(())
    }

    /// Counts one more attempt at the task that comes after these rows.
    fn count(&mut self, task: Option<Task>, rows: &[Measurement]) {
        if self.at != task {
            // Rows between the last lost task and this one show that the device works.
            let is_lost = |row: &Measurement| {
                self.at.is_some_and(|at| (at.role, at.index) == (row.role, row.index))
            };
            self.lost = if rows.last().is_some_and(is_lost) { self.lost } else { 0 };
            (self.at, self.tries) = (task, 0);
        }
        self.tries += 1;
    }

    /// Writes the failed row of a lost task. Too many lost tasks in a row mean that the device is at fault.
    fn lose(
        &mut self,
        header: &RunHeader,
        task: Task,
        attempt: u32,
        reason: &str,
    ) -> anyhow::Result<()> {
        let row = lost_row(self.space, &self.options, task, attempt, TRIES, reason)?;
        let mut journal = Journal::open(&self.dir, header)?;
        journal.append(&row).and_then(|()| journal.flush()).map_err(failed)?;
        self.lost += 1;
        if self.lost == MOST_LOST {
            let text = format!("{MOST_LOST} architectures in a row ended its process: {reason}");
            self.end = Some(End::GaveUp(text));
        }
        Ok(())
    }

    /// Folder and device as text.
    pub(super) fn name(&self) -> String {
        let folder = self.dir.file_name().unwrap_or_default().to_string_lossy();
        format!("{folder} ({})", self.options.device)
    }

    /// Why the worker gave up; None if it did not.
    pub(super) fn fault(&self) -> Option<String> {
        match &self.end {
            Some(End::GaveUp(reason)) => Some(format!("{}: {reason}", self.name())),
            _ => None,
        }
    }
}

/// Starts a worker's process: this command with its own device, shard and folder appended, which override those before them.
fn spawn(options: &ProfileOptions, dir: &Path) -> anyhow::Result<(Child, Receiver<String>)> {
    let program = std::env::current_exe().context("could not find this program")?;
    let shard = options.shard.map(|shard| shard.to_string()).unwrap_or_default();
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--worker", "--quiet", "--device", &options.device.to_string(), "--shard", &shard])
        .arg("--out")
        .arg(dir)
        .arg("--json")
        .arg(dir.join(VERDICT))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start a process for a device")?;
    let lines = child.stderr.take().map(read_lines);
    Ok((child, lines.context("a process without its standard error")?))
}

fn read_lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
