//! The ranks of a job and their collective operations, by libtorch's own c10d with Gloo, through the C functions of
//! `process_group.cpp`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::time::Duration;

use lat_nn::MeanOverRanks;
use tch::{Kind, Tensor};

use crate::{DeviceError, Launch};

#[expect(unsafe_code, reason = "the C functions of process_group.cpp")]
// SAFETY: the signatures are those of process_group.cpp, which this crate's build script compiles. No function lets an exception
// out. Each writes at most `length` bytes to `error`, the last of them 0.
unsafe extern "C" {
    fn lat_group_join(
        host: *const c_char,
        port: u16,
        serves: bool,
        prefix: *const c_char,
        rank: i32,
        size: i32,
        timeout_ms: i64,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
    fn lat_group_leave(group: *mut c_void);
    fn lat_group_lost(group: *const c_void, text: *mut c_char, length: usize) -> i32;
    fn lat_group_mean(
        group: *mut c_void,
        tensor: *const c_void,
        error: *mut c_char,
        length: usize,
    ) -> i32;
    fn lat_group_broadcast(
        group: *mut c_void,
        tensor: *const c_void,
        error: *mut c_char,
        length: usize,
    ) -> i32;
    fn lat_group_differentiable_mean(
        group: *mut c_void,
        tensor: *const c_void,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
}

/// Size in bytes of the buffer for a C function's message.
const MESSAGE: usize = 1024;

/// The processes that work on one search; this process is one of them. All ranks must call the same methods in the same order.
/// Tensors are on the CPU.
pub struct ProcessGroup {
    group: *mut c_void,
    launch: Launch,
    timeout: Duration,
}

impl ProcessGroup {
    /// Joins the others and waits until all are there. `timeout` is also the limit for each later exchange.
    ///
    /// # Errors
    /// [`DeviceError::Ranks`] if they do not find each other in this time.
    #[expect(unsafe_code, reason = "a C function of process_group.cpp")]
    pub fn join(launch: Launch, timeout: Duration) -> Result<Self, DeviceError> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| {
                DeviceError::Launch(format!("expected a name without zeros, found '{text:?}'"))
            })
        };
        let (host, prefix) = (text(&launch.host)?, text(&format!("lat/{}", launch.attempt))?);
        let serves = launch.rank == 0 && !launch.has_store;
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let mut message = [0; MESSAGE];
        // SAFETY: both texts end in 0 and outlive the call, and so does the message buffer.
        let group = unsafe {
            lat_group_join(
                host.as_ptr(),
                launch.port,
                serves,
                prefix.as_ptr(),
                launch.rank,
                launch.size,
                timeout_ms,
                message.as_mut_ptr(),
                MESSAGE,
            )
        };
        let joined = Self { group, launch, timeout };
        if group.is_null() { Err(joined.failed(&message)) } else { Ok(joined) }
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> i32 {
        self.launch.rank
    }

    /// The number of processes.
    pub fn size(&self) -> i32 {
        self.launch.size
    }

    /// The mean over all ranks of each tensor, in their order. Tensors of the same kind are sent together. Shapes must be the
    /// same on all ranks.
    ///
    /// # Errors
    /// [`DeviceError::Ranks`] if a rank has ended or is too late.
    pub fn means(&self, of: &[Tensor]) -> Result<Vec<Tensor>, DeviceError> {
        self.together(of, lat_group_mean)
    }

    /// Replaces the tensors of all other ranks by those of rank 0.
    ///
    /// # Errors
    /// The errors of [`ProcessGroup::means`].
    pub fn broadcast(&self, into: &[Tensor]) -> Result<(), DeviceError> {
        let theirs = self.together(into, lat_group_broadcast)?;
        tch::no_grad(|| {
            for (own, theirs) in into.iter().zip(&theirs) {
                own.shallow_clone().copy_(theirs);
            }
        });
        Ok(())
    }

    /// The error of the first exchange that failed, backward passes included; None if none did.
    #[expect(unsafe_code, reason = "a C function of process_group.cpp")]
    pub fn failure(&self) -> Option<DeviceError> {
        let mut message = [0; MESSAGE];
        // SAFETY: the group was joined; the message buffer outlives the call.
        let is_lost = unsafe { lat_group_lost(self.group, message.as_mut_ptr(), MESSAGE) } == 1;
        is_lost.then(|| self.failed(&message))
    }

    /// Copies of the tensors after the exchange. Tensors of the same kind are joined to one vector, with one exchange per kind.
    fn together(&self, of: &[Tensor], exchange: Exchange) -> Result<Vec<Tensor>, DeviceError> {
        let mut found: Vec<Tensor> = of.iter().map(Tensor::detach).collect();
        let mut kinds: Vec<Kind> = Vec::new();
        for kind in of.iter().map(Tensor::kind) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        for kind in kinds {
            let places: Vec<usize> = (0..of.len()).filter(|&i| of[i].kind() == kind).collect();
            let flat: Vec<Tensor> = places.iter().map(|&i| found[i].reshape([-1])).collect();
            let lengths: Vec<i64> = flat.iter().map(|row| row.size()[0]).collect();
            let row = Tensor::cat(&flat, 0);
            self.exchange(&row, exchange)?;
            let parts = row.split_with_sizes(&lengths, 0);
            for (&i, part) in places.iter().zip(parts) {
                found[i] = part.view_as(&of[i]);
            }
        }
        Ok(found)
    }

    #[expect(unsafe_code, reason = "C functions of process_group.cpp")]
    fn exchange(&self, row: &Tensor, exchange: Exchange) -> Result<(), DeviceError> {
        let mut message = [0; MESSAGE];
        // SAFETY: the group was joined; the pointer refers to an object of libtorch's tensor class, which outlives the call.
        let code =
            unsafe { exchange(self.group, row.as_ptr().cast(), message.as_mut_ptr(), MESSAGE) };
        if code == 0 { Ok(()) } else { Err(self.failed(&message)) }
    }

    /// Makes an error from a message, whose first line says what is wrong.
    fn failed(&self, message: &[c_char]) -> DeviceError {
        let bytes: Vec<u8> = message.iter().map(|c| c.cast_unsigned()).collect();
        let text = CStr::from_bytes_until_nul(&bytes).unwrap_or(c"").to_string_lossy();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        let (size, timeout_s) = (self.launch.size, self.timeout.as_secs());
        DeviceError::Ranks { size, timeout_s, reason }
    }
}

type Exchange = unsafe extern "C" fn(*mut c_void, *const c_void, *mut c_char, usize) -> i32;

impl MeanOverRanks for ProcessGroup {
    #[expect(unsafe_code, reason = "a C function of process_group.cpp")]
    fn differentiable_mean(&self, xs: &Tensor) -> Tensor {
        let mut message = [0; MESSAGE];
        // SAFETY: as in `exchange`. The result is null or a new tensor, which the caller must free as tch does.
        let found = unsafe {
            lat_group_differentiable_mean(
                self.group,
                xs.as_ptr().cast(),
                message.as_mut_ptr(),
                MESSAGE,
            )
        };
        assert!(!found.is_null(), "{}", self.failed(&message));
        // SAFETY: the pointer refers to an object of libtorch's tensor class made by `new`, and nothing else owns it.
        unsafe { Tensor::from_ptr(found.cast()) }
    }

    fn size(&self) -> i64 {
        self.launch.size.into()
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.launch.size)
    }
}

impl Drop for ProcessGroup {
    #[expect(unsafe_code, reason = "a C function of process_group.cpp")]
    fn drop(&mut self) {
        if !self.group.is_null() {
            // SAFETY: the group was joined, and it is left only once.
            unsafe { lat_group_leave(self.group) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const ROLE: &str = "LAT_TEST_RANK";

    fn free_port() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn launch(rank: i32, port: u16) -> Launch {
        let (host, attempt) = ("127.0.0.1".to_owned(), "0".to_owned());
        Launch { rank, size: 2, local_rank: 0, host, port, has_store: false, attempt }
    }

    /// Starts this test program again as rank 1, with only one test.
    fn other(test: &str, port: u16) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("process_group::tests::{test}"), "--exact"]);
        command.env(ROLE, port.to_string()).spawn().unwrap()
    }

    /// Joins the group in this process, and starts the other rank if this is rank 0.
    fn both(test: &str, timeout: Duration) -> (ProcessGroup, Option<Child>) {
        let role = std::env::var(ROLE).ok();
        let port = role.as_ref().map_or_else(free_port, |port| port.parse().unwrap());
        let child = role.is_none().then(|| other(test, port));
        let rank = i32::from(child.is_none());
        (ProcessGroup::join(launch(rank, port), timeout).unwrap(), child)
    }

    fn numbers(values: [f64; 2]) -> Tensor {
        Tensor::from_slice(&values).set_requires_grad(true)
    }

    // The loss of rank r is (r + 1) * a . m, where m is the mean of both ranks' x. The gradient of the sum of both losses in
    // either x is 1.5 a.
    #[test]
    fn two_processes_agree_on_means_and_their_gradients() {
        let name = "two_processes_agree_on_means_and_their_gradients";
        let (group, child) = both(name, Duration::from_secs(60));
        let r = f64::from(group.rank());
        let (single, double) = (Tensor::from_slice(&[1f32, 2.0]) * (r + 1.0), numbers([r, 3.0]));
        let found = group.means(&[double, single.view([2, 1]), numbers([4.0 * r, 5.0])]).unwrap();
        assert_eq!(found[0], Tensor::from_slice(&[0.5, 3.0]));
        assert_eq!(found[1], Tensor::from_slice(&[1.5f32, 3.0]).view([2, 1]));
        assert_eq!(found[2], Tensor::from_slice(&[2.0, 5.0]));
        let own = Tensor::from_slice(&[10.0 + r, 7.0 * r]);
        group.broadcast(std::slice::from_ref(&own)).unwrap();
        assert_eq!(own, Tensor::from_slice(&[10.0, 0.0]));
        let x = numbers([2.0 * r, 1.0 - r]);
        let mean = group.differentiable_mean(&x);
        assert_eq!(mean.detach(), Tensor::from_slice(&[1.0, 0.5]));
        ((mean * Tensor::from_slice(&[2.0, -4.0])).sum(Kind::Double) * (r + 1.0)).backward();
        assert_eq!(x.grad(), Tensor::from_slice(&[3.0, -6.0]));
        if let Some(mut child) = child {
            assert!(child.wait().unwrap().success());
        }
    }

    #[test]
    fn a_rank_that_is_gone_is_an_error_of_the_others() {
        let name = "a_rank_that_is_gone_is_an_error_of_the_others";
        let (group, child) = both(name, Duration::from_secs(20));
        let Some(mut child) = child else { return };
        assert!(child.wait().unwrap().success());
        let error = group.means(&[numbers([1.0, 2.0])]).unwrap_err().to_string();
        assert!(error.contains("expected all 2 ranks to answer within 20 s"), "{error}");
        assert_eq!(group.failure().unwrap().to_string(), error);
    }

    #[test]
    fn a_rank_alone_waits_no_longer_than_it_may() {
        let join = |rank| ProcessGroup::join(launch(rank, free_port()), Duration::from_secs(2));
        for rank in [0, 1] {
            let error = join(rank).unwrap_err().to_string();
            assert!(error.contains("expected all 2 ranks to answer within 2 s"), "{error}");
            assert!(error.contains("check that all of them were started"), "{error}");
        }
    }
}
