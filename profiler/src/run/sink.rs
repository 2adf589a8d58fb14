//! The sink that receives the rows of a run.

use lat_data::{AtHand, Journal, Measurement};

use crate::{ProfileError, Task};

/// Receives the rows of a run. The runner itself knows no files.
pub trait RowSink {
    /// All rows so far, those of earlier runs and those appended since, in the order in which they were measured.
    fn recorded(&self) -> &[Measurement];

    /// Tells that a row is about to be measured; `attempt` counts from 0. If the process ends at this row, its supervisor needs
    /// to know which one it was.
    fn begin(&mut self, _task: Task, _attempt: u32) {}

    /// Takes a row. When this returns, the row survives the end of this process.
    ///
    /// # Errors
    /// [`ProfileError::Data`] if it cannot be kept.
    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError>;

    /// Waits until all rows are as safe as they can be.
    ///
    /// # Errors
    /// [`ProfileError::Data`] if some cannot be kept.
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

/// Keeps rows in memory only, for plans and tests.
impl RowSink for Vec<Measurement> {
    fn recorded(&self) -> &[Measurement] {
        self
    }

    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError> {
        self.push(row.clone());
        Ok(())
    }
}
