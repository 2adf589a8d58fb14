//! `lat profile --per-op`: the latency table of single operations.

use std::path::PathBuf;

use lat_data::RunLock;
use lat_profiler::{DeviceSpec, ProfileOptions, header, measure_ops};
use lat_space::SearchSpace;

use super::args::Args;
use super::measuring::reference_ms;
use crate::cli::failure::bad;
use crate::cli::op_table::OpTable;
use crate::cli::output::{Screen, figure, say, table, write_json};
use crate::cli::runs;

/// Rows of the table that are printed; the file has all.
const SHOWN: usize = 10;

pub(super) fn run(
    args: &Args,
    space: &dyn SearchSpace,
    mut options: ProfileOptions,
    devices: &[DeviceSpec],
    screen: Screen,
) -> anyhow::Result<()> {
    if devices.len() > 1 {
        return Err(bad(format!("expected one device with --per-op, found {}", devices.len())));
    }
    check_sizes(&args.sizes, space, &options)?;
    let dir = table_dir(args, space, &options);
    runs::writable_dir(&dir)?;
    let _lock = RunLock::take(&dir)?;
    options.reference_ms = reference_ms(options.device, &dir)?;
    let bar = screen.bar("measurements");
    let operations = measure_ops(space, &options, &args.sizes, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let found = OpTable {
        header: header(space, &options),
        operations: operations?,
        checksum: String::new(),
    };
    found.write(&dir)?;
    args.json.iter().try_for_each(|path| write_json(path, &found.operations))?;
    let mut slowest: Vec<_> = found.operations.iter().collect();
    slowest.sort_by(|a, b| b.latency_ms.total_cmp(&a.latency_ms));
    let rows = slowest.iter().take(SHOWN).map(|row| {
        vec![row.key.clone(), figure(row.latency_ms), row.places.to_string(), row.status.clone()]
    });
    say(table(&["slowest operations", "ms", "places", "status"], rows))?;
    say(format!(
        "{} operations of {} on {}, batch {}, {}, {}; the two measurements of one differ by {:.1} % (median); {}",
        found.operations.len(),
        space.id(),
        found.header.device_name,
        options.batch,
        options.skeleton,
        options.point,
        found.noise_percent(),
        dir.join("operations.csv").display()
    ))?;
    say(
        "A network takes less or more than its operations one by one (launches, caches): judge the table with lat train --per-op.",
    )
}

/// Checks that the sizes are among those that the space searches with this skeleton.
fn check_sizes(
    sizes: &[u16],
    space: &dyn SearchSpace,
    options: &ProfileOptions,
) -> anyhow::Result<()> {
    let known: Vec<u16> =
        space.graph(&options.skeleton).image_sizes().into_iter().map(|(_, size)| size).collect();
    let Some(other) = sizes.iter().find(|size| !known.contains(size)) else { return Ok(()) };
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    Err(bad(format!(
        "expected --sizes of {}, which images of {} have at {}; found {other}",
        names.join(", "),
        space.id(),
        options.skeleton
    )))
}

/// Where the table goes.
pub(super) fn table_dir(args: &Args, space: &dyn SearchSpace, options: &ProfileOptions) -> PathBuf {
    args.out.clone().unwrap_or_else(|| usual_dir(space, options, &args.sizes))
}

fn usual_dir(space: &dyn SearchSpace, options: &ProfileOptions, sizes: &[u16]) -> PathBuf {
    let profile = runs::profile_dir(space.id(), &options.device.to_string(), options);
    let name = profile.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let sizes: String = sizes.iter().map(|size| format!("-{size}px")).collect();
    profile.with_file_name(name.replacen("profile-", "operations-", 1) + &sizes)
}
