//! Reports the progress of a training.

use std::fmt;
use std::sync::Arc;

/// An event while regressors are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FitEvent<'a> {
    /// The fit of a regressor begins: (its name, its number from 1, the number of regressors).
    Regressor(&'a str, usize, usize),
    /// A step of a regressor's networks is done: (the step, the largest number of steps).
    Step(u64, u64),
}

type Told = Arc<dyn Fn(FitEvent<'_>) + Send + Sync>;

/// A function that receives the events; by default none. It does not affect what is learnt, so any two are equal.
#[derive(Clone, Default)]
pub struct Progress(Option<Told>);

impl Progress {
    /// Passes each event to this function.
    pub fn to(told: impl Fn(FitEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, event: FitEvent<'_>) {
        if let Some(told) = &self.0 {
            told(event);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

impl PartialEq for Progress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Progress {}
