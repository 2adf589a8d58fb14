//! Where rows go.

use lat_data::{AtHand, Journal, Measurement};

use crate::{ProfileError, Task};

/// Where rows go. The runner knows no files.
pub trait RowSink {
    /// All rows so far, those of earlier runs and those appended since, in the order they were measured.
    fn recorded(&self) -> &[Measurement];

    /// Says which row is about to be measured, for the `attempt`-th time counted from 0: should the process end at it, whoever
    /// looks after the process will want to know.
    fn begin(&mut self, _task: Task, _attempt: u32) {}

    /// Takes a row; when it returns, the row is safe from the end of this process.
    ///
    /// # Errors
    /// [`ProfileError::Data`] where it cannot be kept.
    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError>;

    /// Waits until all rows are as safe as they will be.
    ///
    /// # Errors
    /// [`ProfileError::Data`] where some cannot be kept.
    fn settle(&mut self) -> Result<(), ProfileError> {
        Ok(())
    }
}

impl RowSink for Journal {
    fn recorded(&self) -> &[Measurement] {
        self.rows()
    }

    fn begin(&mut self, task: Task, attempt: u32) {
        let Task { role, index, occurrence } = task;
        self.begin_row(AtHand { role, index, occurrence, attempt });
    }

    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError> {
        Ok(Self::append(self, row)?)
    }

    fn settle(&mut self) -> Result<(), ProfileError> {
        Ok(self.flush()?)
    }
}

/// Keeps rows in memory only: for plans and tests.
impl RowSink for Vec<Measurement> {
    fn recorded(&self) -> &[Measurement] {
        self
    }

    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError> {
        self.push(row.clone());
        Ok(())
    }
}
