//! Leaves out rows that were measured while the device was disturbed.

use lat_data::LatencyTable;
use lat_predictor::{Disturbed, Samples, disturbed};
use lat_space::{Architecture, Space};

use super::args::Args;
use crate::cli::output::say;

/// Removes disturbed rows from these lists, and says so. In a profile made by `lat` such rows were already measured again, so it is
/// left as it is.
pub(super) fn leave_out(
    args: &Args,
    space: &dyn Space,
    measured: &LatencyTable,
    architectures: &[Architecture],
    lists: [&mut Vec<usize>; 2],
) -> anyhow::Result<()> {
    if args.keep_disturbed || measured.header.is_some() {
        return Ok(());
    }
    let values = measured.rows.iter().map(|row| row.value);
    let samples = Samples::of(space, architectures.iter().zip(values))?;
    let Some(found) = disturbed(space, &samples, args.seed)? else { return Ok(()) };
    say(line(&found, measured))?;
    for list in lists {
        list.retain(|row| found.rows.binary_search(row).is_err());
    }
    Ok(())
}

fn line(found: &Disturbed, measured: &LatencyTable) -> String {
    let Disturbed { rows, stretch, factor } = found;
    let number = |row: usize| measured.rows[row].number;
    let off = if *factor >= 1.0 {
        format!("{factor:.1} times above")
    } else {
        format!("{:.1} times below", 1.0 / factor)
    };
    format!(
        "{} of {} rows lie about {off} what the others say, all between rows {} and {}: the device was disturbed there; they are left \
         out of training and testing (--keep-disturbed uses them)",
        rows.len(),
        measured.rows.len(),
        number(stretch.0),
        number(stretch.1)
    )
}
