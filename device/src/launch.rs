//! The rank of this process in a job, as its launcher gives it in environment variables.

use crate::DeviceError;

/// The place of a process among those that work on one search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Number of this process, from 0.
    pub rank: i32,
    /// The number of processes.
    pub size: i32,
    /// Number of this process among those on its machine.
    pub local_rank: u32,
    /// The host of rank 0.
    pub host: String,
    /// The port on that host at which the ranks find each other.
    pub port: u16,
    /// Whether the launcher provides the store by which the ranks find each other, as torchrun does.
    pub has_store: bool,
    /// How often the launcher has restarted the job; part of the job's keys in that store.
    pub attempt: String,
}

impl Launch {
    /// Reads torchrun's variables `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT`. If `WORLD_SIZE` is missing
    /// and `MASTER_ADDR` is set, reads srun's `SLURM_PROCID`, `SLURM_NTASKS` and `SLURM_LOCALID` instead. None for a process that
    /// works alone.
    ///
    /// # Errors
    /// [`DeviceError::Launch`] if a variable is missing or not a valid number.
    pub fn from_env() -> Result<Option<Self>, DeviceError> {
        Self::of(&|name| std::env::var(name).ok())
    }

    /// Reads variables through a function that gives them by name.
    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, DeviceError> {
        // A batch script with several tasks has SLURM's numbers too, so these alone do not mean that there is a job of ranks.
        let by_slurm = variable("WORLD_SIZE").is_none() && variable("MASTER_ADDR").is_some();
        let [size, rank, local] = if by_slurm {
            ["SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"]
        } else {
            ["WORLD_SIZE", "RANK", "LOCAL_RANK"]
        };
        if variable(size).is_none() {
            return Ok(None);
        }
        let number = |name: &str, least: i32, most: i32| {
            let found = variable(name);
            let read = found.as_deref().and_then(|text| text.trim().parse::<i32>().ok());
            read.filter(|n| (least..=most).contains(n)).ok_or_else(|| {
                wrong(&format!("{name} to be a number from {least} to {most}"), found.as_deref())
            })
        };
        let size = number(size, 1, 65_536)?;
        if size == 1 {
            return Ok(None);
        }
        let rank = number(rank, 0, size - 1)?;
        let local_rank =
            if variable(local).is_none() { 0 } else { number(local, 0, size - 1)?.unsigned_abs() };
        let host = variable("MASTER_ADDR").filter(|host| !host.trim().is_empty());
        let host = host.ok_or_else(|| wrong("MASTER_ADDR to name the machine of rank 0", None))?;
        let port = number("MASTER_PORT", 1, 65_535)?;
        Ok(Some(Self {
            rank,
            size,
            local_rank,
            host,
            // It fits, because its range was checked above.
            port: port as u16,
            has_store: variable("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
            attempt: variable("TORCHELASTIC_RESTART_COUNT").unwrap_or_else(|| "0".to_owned()),
        }))
    }
}

fn wrong(expected: &str, found: Option<&str>) -> DeviceError {
    let found = found.map_or_else(|| "none".to_owned(), |text| format!("'{text}'"));
    DeviceError::Launch(format!(
        "expected {expected} in the environment of each rank, found {found}; start the ranks by torchrun or by srun with MASTER_ADDR and \
         MASTER_PORT, or unset WORLD_SIZE to work alone"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Launch>, String> {
        let found = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Launch::of(&found).map_err(|e| e.to_string())
    }

    #[test]
    fn torchrun_and_srun_say_the_same_in_their_own_words() {
        let place = [("MASTER_ADDR", "node1"), ("MASTER_PORT", "29501")];
        let torchrun = [("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")];
        let srun = [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "1")];
        let found = of(&[&place[..], &torchrun].concat()).unwrap().unwrap();
        assert_eq!((found.rank, found.size, found.local_rank), (3, 4, 1));
        assert_eq!((found.host.as_str(), found.port, found.has_store), ("node1", 29501, false));
        assert_eq!(of(&[&place[..], &srun].concat()).unwrap(), Some(found));
        assert_eq!(of(&srun), Ok(None), "the tasks of a batch script are no ranks");
    }

    #[test]
    fn a_process_alone_is_no_rank() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("WORLD_SIZE", "1")]), Ok(None));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let all =
            [("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "29500")];
        assert!(of(&all).unwrap().is_some());
        for (name, value) in [("WORLD_SIZE", "two"), ("RANK", "2"), ("MASTER_PORT", "70000")] {
            let text = of(&all.map(|(n, v)| if n == name { (n, value) } else { (n, v) }));
            let text = text.unwrap_err();
            assert!(text.contains(name) && text.contains(value) && text.contains("torchrun"));
        }
        for (missing, _) in &all[1..] {
            let rest: Vec<_> = all.iter().filter(|(name, _)| name != missing).copied().collect();
            assert!(of(&rest).unwrap_err().contains(missing), "{missing}");
        }
    }
}
