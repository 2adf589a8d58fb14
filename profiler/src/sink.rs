use lat_data::{Journal, Measurement};

use crate::ProfileError;

/// Where rows go. The runner knows no files.
pub trait RowSink {
    /// All rows so far, those of earlier runs and those appended since, in the order they were measured.
    fn recorded(&self) -> &[Measurement];

    /// Takes a row; when it returns, the row is safe.
    ///
    /// # Errors
    /// [`ProfileError::Data`] where it cannot be kept.
    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError>;
}

impl RowSink for Journal {
    fn recorded(&self) -> &[Measurement] {
        self.rows()
    }

    fn append(&mut self, row: &Measurement) -> Result<(), ProfileError> {
        Ok(Self::append(self, row)?)
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
