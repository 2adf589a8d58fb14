//! Merges a method's options: the paper's, the quick preset's and the user's.

use lat_space::SearchSpace;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Value, toml};

use super::ranges;
use crate::error::SearchError;
use crate::methods::{Method, MethodEntry, Options, Preset};

/// The options of a method. `--set` uses the names of the fields.
pub(crate) trait Settings: Serialize + DeserializeOwned {
    /// The paper's values.
    fn paper(space: &dyn SearchSpace) -> Self;

    /// Changes for the quick preset: learning rates with which some hundred steps suffice, and smaller sizes.
    fn quick(_: &dyn SearchSpace) -> Options {
        quick_rates()
    }

    /// Checks beyond the range of each number: options that conflict with each other or with the space.
    ///
    /// # Errors
    /// Text that completes "expected ...".
    fn check(&self, _: &dyn SearchSpace) -> Result<(), String> {
        Ok(())
    }

    /// Builds the method with these options; `seed` fixes its initial parameters.
    ///
    /// # Errors
    /// [`SearchError`] if the space has no architecture to start with.
    fn build(self, space: &dyn SearchSpace, seed: u64) -> Result<Box<dyn Method>, SearchError>;
}

/// Changes that the quick preset makes for DARTS and most of its family.
pub(crate) fn quick_rates() -> Options {
    toml! {
        lr = 0.05
        alpha_lr = 3e-2
        warmup = 0.2
    }
}

/// The changes of [`quick_rates`], and more.
pub(crate) fn quick_rates_and(more: Options) -> Options {
    quick_rates().into_iter().chain(more).collect()
}

/// Checks a condition on an option; `expected` completes "expected ..." if it does not hold.
pub(crate) fn ensure(holds: bool, expected: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(expected()) }
}

/// Builds a method with a preset's settings, some overridden.
pub(crate) fn build<S: Settings>(
    entry: &MethodEntry,
    preset: Preset,
    options: &Options,
    space: &dyn SearchSpace,
    seed: u64,
) -> Result<Box<dyn Method>, SearchError> {
    entry.check_space(space)?;
    let wrong = |reason: String| {
        SearchError::Settings(format!("option of method {}: {}", entry.name, reason.trim_end()))
    };
    let settings: S = settings(entry, preset, options, space).map_err(wrong)?;
    settings.check(space).map_err(|expected| wrong(format!("expected {expected}")))?;
    settings.build(space, seed)
}

/// The paper's settings, overridden by the preset's, then by those that define the method, then by the user's.
fn settings<S: Settings>(
    entry: &MethodEntry,
    preset: Preset,
    options: &Options,
    space: &dyn SearchSpace,
) -> Result<S, String> {
    let mut table = Options::try_from(S::paper(space)).map_err(|e| e.to_string())?;
    if preset == Preset::Quick {
        put::<S>(&mut table, &S::quick(space))?;
    }
    let fixed: Options = entry.fixed.parse().expect("a table of METHODS is TOML");
    put::<S>(&mut table, &fixed)?;
    put::<S>(&mut table, options)?;
    match fixed.iter().find(|(key, value)| table[*key] != **value) {
        Some((key, value)) => {
            let found = &table[key];
            Err(format!(
                "expected {key}={value}, which is what it is; found {found}. Choose another --method"
            ))
        }
        None => table.try_into().map_err(|e: toml::de::Error| e.message().to_owned()),
    }
}

/// Puts options into a table. For an unknown key the error lists the known ones.
fn put<S: Settings>(table: &mut Options, options: &Options) -> Result<(), String> {
    for (key, value) in options {
        let Some(old) = table.get(key) else {
            let known = table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(format!("expected one of {known}; found '{key}'"));
        };
        let value = as_float(old, value);
        let out_of_range = ranges::expected(key, &value);
        table.insert(key.clone(), value);
        // The table is parsed again after each option, so that the message can name the one that does not fit.
        let read = table.clone().try_into::<S>();
        read.map_err(|e: toml::de::Error| format!("{key}: {}", e.message()))?;
        if let Some(expected) = out_of_range {
            return Err(format!("expected {key} to be {expected}, found {}", table[key]));
        }
    }
    Ok(())
}

/// Lets `--set tau=1` mean 1.0 if a float is expected, also in lists.
fn as_float(preset: &Value, value: &Value) -> Value {
    use toml::Value::{Array, Float, Integer};
    match (preset, value) {
        (Float(_), Integer(i)) => Float(*i as f64),
        (Array(preset), Array(values)) if !preset.is_empty() => {
            Array(values.iter().map(|v| as_float(&preset[0], v)).collect())
        }
        _ => value.clone(),
    }
}
