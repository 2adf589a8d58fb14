//! Workers that take blocks in order, answer them side by side and write the answers in order.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::blocks::{Block, Blocks};
use super::json_array::JsonArray;
use crate::cli::failure::failed;

/// Input and output of all workers. No more blocks are in memory than there are workers.
pub(super) struct Turns<'a> {
    input: Mutex<Input<'a>>,
    output: Mutex<Output>,
    written: Condvar,
}

struct Input<'a> {
    blocks: Blocks<'a>,
    n_taken: usize,
}

struct Output {
    json: Option<JsonArray>,
    n_written: usize,
    failure: Option<anyhow::Error>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(blocks: Blocks<'a>, json: Option<JsonArray>) -> Self {
        Self {
            input: Mutex::new(Input { blocks, n_taken: 0 }),
            output: Mutex::new(Output { json, n_written: 0, failure: None }),
            written: Condvar::new(),
        }
    }

    /// Answers blocks until there are none or one has failed.
    pub(super) fn work(&self, answer: impl Fn(&Block) -> anyhow::Result<Answer>) {
        while let Some((turn, block)) = self.take() {
            // A worker that panicked would keep the others waiting for its turn.
            let answer =
                block.and_then(|block| lat_nn::guard(|| answer(&block)).map_err(failed)?);
            let mut output = lock(&self.output);
            while output.n_written < turn {
                output = self.written.wait(output).unwrap_or_else(PoisonError::into_inner);
            }
            if output.failure.is_none() {
                output.failure = answer.and_then(|answer| output.write(&answer)).err();
            }
            output.n_written += 1;
            self.written.notify_all();
        }
    }

    /// The next block and its turn, or why there is none.
    fn take(&self) -> Option<(usize, anyhow::Result<Block>)> {
        let mut input = lock(&self.input);
        if lock(&self.output).failure.is_some() {
            return None;
        }
        let block = input.blocks.next().transpose()?;
        input.n_taken += 1;
        Some((input.n_taken - 1, block))
    }

    /// Completes the JSON file, or says what failed first.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let output = self.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (output.failure, output.json) {
            (Some(failure), _) => Err(failure),
            (None, Some(json)) => json.finish(),
            (None, None) => Ok(()),
        }
    }
}

impl Output {
    fn write(&mut self, answer: &Answer) -> anyhow::Result<()> {
        // Whole blocks: the line buffer of standard output would only cut them up again.
        std::io::stdout().lock().write_all(&answer.lines)?;
        match &mut self.json {
            Some(json) => json.push(&answer.json),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked has told why; the others stop all the same at the end of the input.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
