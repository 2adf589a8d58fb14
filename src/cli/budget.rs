//! `--target-ms` and `--budget`: the highest cost allowed, in the unit of its column.

use lat_data::{per_ms, unit};

use super::failure::bad;

/// How many of a column's unit make a millisecond. `--target-ms` is multiplied by this.
pub(super) fn of_a_ms(column: &str) -> anyhow::Result<f64> {
    let unit = unit(column);
    per_ms(unit).ok_or_else(|| {
        bad(format!(
            "expected --target-ms with a cost in ms, us, ns or s, found {column} ({unit}); say what it may cost in its own unit by --budget"
        ))
    })
}
