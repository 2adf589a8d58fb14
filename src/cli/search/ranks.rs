//! The processes that share a search: how they are started and find each other.

use std::time::Duration;

use lat::error::SearchError;
use lat::supernet::Ranks;
use lat_device::{Launch, ProcessGroup};

use super::Args;
use crate::cli::failure::bad;

/// This process's place among several, if there are several. Refuses flags that cannot be used then.
pub(super) fn launch(args: &Args) -> anyhow::Result<Option<Launch>> {
    let launch = Launch::from_env().map_err(|e| bad(e.to_string()))?;
    if args.sync_bn && launch.is_none() {
        return Err(bad(
            "expected several processes for --sync-bn, found one, whose batch norm goes by the whole batch as it is; start them by torchrun or \
             srun, or leave it out",
        ));
    }
    if args.seeds > 1 && launch.is_some() {
        let n = args.seeds;
        return Err(bad(format!(
            "expected one seed for a search by several processes, found --seeds {n}; start a search per seed"
        )));
    }
    Ok(launch)
}

/// Waits for the other processes.
pub(super) fn join(args: &Args, launch: Launch) -> anyhow::Result<Ranks> {
    let timeout = Duration::from_secs(args.rank_timeout);
    let group = ProcessGroup::join(launch, timeout).map_err(SearchError::from)?;
    Ok(Ranks::new(group, args.sync_bn))
}
