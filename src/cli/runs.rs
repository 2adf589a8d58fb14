//! Where results are written: `./runs/`, in folders and files named by their contents.

use std::path::{Path, PathBuf};

use lat_data::{Mode, Precision, RowFilter, Shard};
use lat_profiler::ProfileOptions;
use lat_space::{Skeleton, Stem};

use super::failure::{bad, failed, is_machines};
use super::newest::PREDICTOR;

/// The folder of all results.
const RUNS: &str = "runs";

/// `runs/profile-darts-cpu-c8-l4-r8-b1-seed0`. Settings that differ from the usual operating point come before the seed.
pub(super) fn profile_dir(space: &str, device: &str, options: &ProfileOptions) -> PathBuf {
    let ProfileOptions { skeleton, batch, seed, point, .. } = options;
    let device = device.replace(':', "").replace(',', "+");
    let unusual = [
        (point.mode != Mode::Eager).then(|| point.mode.name()),
        (point.precision != Precision::Fp32).then(|| point.precision.name()),
        point.channels_last.then_some("nhwc"),
        point.cold.then_some("cold"),
    ];
    let unusual: String = unusual.into_iter().flatten().map(|part| format!("-{part}")).collect();
    let name = format!("profile-{space}-{device}-{}-b{batch}{unusual}-seed{seed}", short(skeleton));
    Path::new(RUNS).join(name)
}

/// The folder of a shard: the run's name with `-shard2of8` appended.
pub(super) fn shard_dir(dir: &Path, shard: Shard) -> PathBuf {
    let name = format!("{}-shard{}of{}", name_of(dir), shard.index(), shard.count());
    dir.with_file_name(name)
}

/// The folder of a run with `--until`: the usual name with `-until` appended.
pub(super) fn until_dir(dir: &Path) -> PathBuf {
    dir.with_file_name(format!("{}-until", name_of(dir)))
}

/// A skeleton as `c8-l4-r8`, with unusual settings appended.
pub(super) fn short(skeleton: &Skeleton) -> String {
    let Skeleton { channels, layers, resolution, classes, stem } = skeleton;
    let classes = if *classes == 10 { String::new() } else { format!("-k{classes}") };
    let stem = if *stem == Stem::Cifar { "" } else { "-imagenet" };
    format!("c{channels}-l{layers}-r{resolution}{classes}{stem}")
}

/// The folder of all results.
pub(super) fn root() -> &'static Path {
    Path::new(RUNS)
}

/// The path of the result with this name.
pub(super) fn named(name: &str) -> PathBuf {
    Path::new(RUNS).join(name)
}

/// The file of the predictor learned from a profile: `runs/predictor-<profile>-<column>.lat`. If rows were filtered by `--where`, the
/// values come before the column.
pub(super) fn predictor_file(source: &Path, filters: &[RowFilter], column: &str) -> PathBuf {
    let stem = source.file_stem().map_or_else(|| "table".into(), |s| s.to_string_lossy());
    let stem = stem.strip_prefix("profile-").unwrap_or(&stem).to_owned();
    let is_unfit = |c: char| !c.is_alphanumeric() && !"._".contains(c);
    let chosen = filters.iter().map(|f| format!("-{}", f.value.replace(is_unfit, "-")));
    let chosen: String = chosen.collect();
    Path::new(RUNS).join(format!("predictor-{stem}{chosen}-{column}.{PREDICTOR}"))
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Makes a folder and checks that files can be written there, before hours of work depend on it. A full disk does not count as bad
/// input.
pub(super) fn writable_dir(dir: &Path) -> anyhow::Result<()> {
    let probe = || -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        tempfile::tempfile_in(dir).map(drop)
    };
    probe().map_err(|e| {
        let text = format!(
            "expected a folder to write to at {}, found: {e}; name another with --out",
            dir.display()
        );
        if is_machines(&e) { failed(text) } else { bad(text) }
    })
}
