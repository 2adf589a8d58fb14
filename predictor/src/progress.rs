//! How far a training is.

use std::fmt;
use std::sync::Arc;

/// What happens while regressors are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FitEvent<'a> {
    /// A regressor is begun: (its name, its number from 1, how many there are).
    Regressor(&'a str, usize, usize),
    /// A step of a regressor's networks is done: (step, most steps that there will be).
    Step(u64, u64),
}

type Told = Arc<dyn Fn(FitEvent<'_>) + Send + Sync>;

/// Who is told what happens; by default nobody. It changes nothing that is learnt, so any two are equal.
#[derive(Clone, Default)]
pub struct Progress(Option<Told>);

impl Progress {
    /// Tells this.
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
