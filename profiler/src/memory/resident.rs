//! Memory of this process, as the kernel counts it.

use std::fs;

const KIB_PER_MIB: f64 = 1024.0;
/// The value that resets the peak (proc(5), `clear_refs`).
const RESET_PEAK: &str = "5";

/// The growth of this process's resident memory during some work, at its peak.
///
/// The allocator keeps freed memory, so only the first work of its size in a process shows all the memory that it needs.
#[derive(Debug)]
pub(crate) struct ResidentPeak {
    begin_mib: f64,
}

impl ResidentPeak {
    /// Begins to watch; None if the kernel does not give the numbers.
    pub(crate) fn begin() -> Option<Self> {
        fs::write("/proc/self/clear_refs", RESET_PEAK).ok()?;
        Some(Self { begin_mib: field_mib(&status()?, "VmRSS:")? })
    }

    /// The peak since the beginning, above the level at the beginning, MiB.
    pub(crate) fn grown_mib(&self) -> Option<f64> {
        Some((field_mib(&status()?, "VmHWM:")? - self.begin_mib).max(0.0))
    }
}

fn status() -> Option<String> {
    fs::read_to_string("/proc/self/status").ok()
}

/// Reads `VmHWM:  123456 kB`, in MiB.
fn field_mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / KIB_PER_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_mib() {
        let status = "Name:\tlat\nVmHWM:\t    3072 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(field_mib(status, "VmHWM:"), Some(3.0));
        assert_eq!(field_mib(status, "VmRSS:"), Some(1.0));
        assert_eq!(field_mib(status, "VmSwap:"), None);
    }

    /// This variable is set in the process that this test starts for itself, because tests that run at the same time allocate and
    /// free memory.
    const ALONE: &str = "LAT_TEST_ALONE";

    #[test]
    fn memory_that_is_touched_shows_even_when_it_is_given_back() {
        if std::env::var_os(ALONE).is_some() {
            let grown_mib = grown_by_touching_64_mib();
            assert!((60.0..80.0).contains(&grown_mib), "{grown_mib} MiB for 64");
            return;
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::memory_that_is_touched_shows_even_when_it_is_given_back");
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let done = alone.args(["--exact", &name]).env(ALONE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && text.contains("1 passed"), "{text}");
    }

    fn grown_by_touching_64_mib() -> f64 {
        let peak = ResidentPeak::begin().unwrap();
        // Such a large block has a memory mapping of its own, which goes back to the system when it is dropped.
        let mut bytes = vec![0u8; 64 << 20];
        bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        assert_eq!(std::hint::black_box(&bytes)[4096], 1);
        drop(bytes);
        peak.grown_mib().unwrap()
    }
}
