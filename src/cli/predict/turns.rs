//! Workers that take blocks in order, price them in parallel, and write the answers in order.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::blocks::{Block, Blocks};
use super::json_array::JsonArray;
use crate::cli::failure::failed;

/// The input and output that all workers share. At most one block per worker is in memory.
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

    /// Answers blocks until none are left or one has failed.
    pub(super) fn work(&self, answer: impl Fn(&Block) -> anyhow::Result<Answer>) {
        while let Some((turn, block)) = self.take() {
            // A panicking worker would keep the others waiting for its turn, so the panic becomes an error.
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

    /// The next block (or the error of reading it) with its turn; None if there are no more.
    fn take(&self) -> Option<(usize, anyhow::Result<Block>)> {
        let mut input = lock(&self.input);
        if lock(&self.output).failure.is_some() {
            return None;
        }
        let block = input.blocks.next().transpose()?;
        input.n_taken += 1;
        Some((input.n_taken - 1, block))
    }

    /// Completes the JSON file, or returns the first error.
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
        // Whole blocks at once: standard output's line buffer would only split them again.
        std::io::stdout().lock().write_all(&answer.lines)?;
        match &mut self.json {
            Some(json) => json.push(&answer.json),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked has already reported why. The others go on to the end of the input.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
