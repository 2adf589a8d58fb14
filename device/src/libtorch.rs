//! Finds libtorch's CUDA half at start-up. The program is linked only to the CPU half, so that it starts on machines without a
//! GPU. If there is a driver and a `libtorch_cuda.so`, opening this library registers its kernels with libtorch.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::cuda;

/// The libtorch version that this program is built for; the bindings reject any other.
pub const LIBTORCH_VERSION: &str = "2.11.0";

const LIBRARY: &str = "libtorch_cuda.so";
/// Values of `<dlfcn.h>` on Linux.
const RTLD_NOW: c_int = 2;
const RTLD_GLOBAL: c_int = 0x100;

#[expect(unsafe_code, reason = "the dynamic linker's own functions")]
unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// Whether this program can use GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaStatus {
    /// libtorch sees GPUs.
    Ready {
        /// Names of the GPUs, by number.
        gpus: Vec<String>,
    },
    /// Everything runs on the CPU.
    Absent {
        /// The reason: no driver, no GPU, or a libtorch without CUDA.
        reason: String,
    },
}

impl CudaStatus {
    /// Number of GPUs that can be used.
    pub fn count(&self) -> u32 {
        match self {
            Self::Ready { gpus } => gpus.len() as u32,
            Self::Absent { .. } => 0,
        }
    }

    /// The reason why there is none; None if there are GPUs.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready { .. } => None,
            Self::Absent { reason } => Some(reason),
        }
    }
}

/// Opens libtorch's CUDA half, if it and a driver exist. Must be called before any other libtorch function, because libtorch
/// looks for CUDA once and remembers the answer. Later calls return the result of the first.
pub fn enable_cuda() -> &'static CudaStatus {
    static STATUS: OnceLock<CudaStatus> = OnceLock::new();
    STATUS.get_or_init(|| match open_cuda() {
        Ok(gpus) => CudaStatus::Ready { gpus },
        Err(reason) => CudaStatus::Absent { reason },
    })
}

fn open_cuda() -> Result<Vec<String>, String> {
    if !cfg!(target_os = "linux") {
        return Err("CUDA is supported on Linux only".into());
    }
    let gpus = cuda::gpu_names()?;
    open_library()?;
    // libtorch may see fewer GPUs than the driver, because it leaves out those that are too old for it.
    let seen = lat_nn::guard(tch::Cuda::device_count).map_err(|e| e.to_string())?;
    usable(gpus, seen)
}

/// The GPUs listed by the driver that libtorch also sees.
fn usable(listed: Vec<String>, seen: i64) -> Result<Vec<String>, String> {
    if seen <= 0 {
        return Err("the driver lists GPUs, but libtorch can use none: the driver is too old for its CUDA 13, or the GPU is; \
             update the driver or name an older build with scripts/setup --libtorch DIR"
            .into());
    }
    Ok(listed.into_iter().take(seen as usize).collect())
}

fn open_library() -> Result<(), String> {
    // First by the bare name, so that the dynamic linker searches LD_LIBRARY_PATH.
    let first = match load(Path::new(LIBRARY)) {
        Ok(()) => return Ok(()),
        Err(reason) => reason,
    };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let found = search_folders(&maps, &roots()).into_iter().map(|folder| folder.join(LIBRARY));
    match found.into_iter().find(|file| file.exists()) {
        Some(file) => {
            load(&file).map_err(|reason| format!("{} did not load: {reason}", file.display()))
        }
        None if first.contains(LIBRARY) && first.contains("No such file") => {
            Err("this libtorch has no CUDA half; get it with scripts/setup --cuda".into())
        }
        None => Err(format!("{LIBRARY} did not load: {first}")),
    }
}

/// Folders of libtorch: from the environment now, and from that in which the program was built.
fn roots() -> Vec<PathBuf> {
    let now = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let built = option_env!("LIBTORCH").map(PathBuf::from);
    now.into_iter().chain(built).map(|root| root.join("lib")).collect()
}

/// The folders to search: the one from which `libtorch_cpu.so` was loaded, the roots, and folders named by a file `torch_lib_dir`
/// in one of these (scripts/setup writes it).
fn search_folders(maps: &str, roots: &[PathBuf]) -> Vec<PathBuf> {
    let loaded = maps.lines().filter_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        (path.file_name()? == "libtorch_cpu.so").then(|| path.parent())?.map(Path::to_owned)
    });
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in loaded.chain(roots.iter().cloned()) {
        let named = std::fs::read_to_string(folder.join("torch_lib_dir"));
        let named = named.ok().map(|text| PathBuf::from(text.trim()));
        for folder in [Some(folder), named].into_iter().flatten() {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

#[expect(unsafe_code, reason = "libtorch_cuda.so must be opened with global visibility")]
fn load(file: &Path) -> Result<(), String> {
    let name = CString::new(file.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: `name` is a C string that outlives the call. Opening the library runs its initialisers, which register kernels with
    // the linked libtorch. The library is never closed.
    let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failed dlopen, dlerror returns a C string of the dynamic linker, which is valid until its next call.
    let reason = unsafe {
        let text = dlerror();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(reason.unwrap_or_else(|| "no reason given".into()))
}

/// Version of the loaded CUDA runtime, such as `13.0`; None if none is loaded.
#[expect(unsafe_code, reason = "the runtime has no other way to tell")]
pub fn cuda_runtime_version() -> Option<String> {
    let symbol = global_symbol(c"cudaRuntimeGetVersion")?;
    let mut version: c_int = 0;
    // SAFETY: the symbol is the CUDA runtime's, whose signature is `cudaError_t cudaRuntimeGetVersion(int*)`.
    let error = unsafe {
        let call: unsafe extern "C" fn(*mut c_int) -> c_int = std::mem::transmute(symbol);
        call(&raw mut version)
    };
    (error == 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// Version of the loaded cuDNN as a number, such as 91900 for 9.19.0; None if none is loaded.
#[expect(unsafe_code, reason = "cuDNN has no other way to tell")]
pub fn cudnn_version() -> Option<usize> {
    let symbol = global_symbol(c"cudnnGetVersion")?;
    // SAFETY: the symbol is cuDNN's, whose signature is `size_t cudnnGetVersion(void)`.
    let call: unsafe extern "C" fn() -> usize = unsafe { std::mem::transmute(symbol) };
    // SAFETY: as above; it reads a constant.
    Some(unsafe { call() })
}

#[expect(unsafe_code, reason = "asks the dynamic linker")]
pub(crate) fn global_symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a null handle is RTLD_DEFAULT on Linux, and `name` is a C string.
    let symbol = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_where_libtorch_was_loaded_from_and_where_setup_points() {
        let root = std::env::temp_dir().join(format!("lat-libtorch-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("torch_lib_dir"), "/opt/torch/lib\n").unwrap();
        let maps = "7f00-7f01 r-xp 00000000 08:01 42   /usr/lib/libc.so.6\n\
            7f02-7f03 r-xp 00000000 08:01 43   /a b/lib/libtorch_cpu.so\n\
            7f03-7f04 r--p 00000000 08:01 43   /a b/lib/libtorch_cpu.so\n\
            7f05-7f06 rw-p 00000000 00:00 0";
        let folders = search_folders(maps, std::slice::from_ref(&root));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(folders, [PathBuf::from("/a b/lib"), root, PathBuf::from("/opt/torch/lib")]);
    }

    #[test]
    fn a_missing_library_is_a_reason_not_a_crash() {
        let reason = load(Path::new("/nowhere/libtorch_cuda.so")).unwrap_err();
        assert!(reason.contains("/nowhere/libtorch_cuda.so"), "{reason}");
    }

    #[test]
    fn a_driver_too_old_for_libtorch_is_told_from_no_driver() {
        let gpus = || vec!["A".to_owned(), "B".to_owned()];
        assert_eq!(usable(gpus(), 1).unwrap(), ["A"]);
        for seen in [0, -1] {
            let reason = usable(gpus(), seen).unwrap_err();
            assert!(
                reason.contains("the driver is too old") && reason.contains("update the driver")
            );
        }
    }

    #[test]
    fn says_why_there_is_no_gpu_or_names_those_there_are() {
        match enable_cuda() {
            CudaStatus::Ready { gpus } => assert!(gpus.iter().all(|name| !name.is_empty())),
            CudaStatus::Absent { reason } => assert!(reason.len() > 10, "{reason}"),
        }
    }
}
