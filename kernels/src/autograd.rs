//! The operations on libtorch's tensors, with gradients: the C functions of autograd.cpp, and libtorch's own where no kernel fits.

#![expect(unsafe_code, reason = "C functions of autograd.cpp")]

use std::ffi::{CStr, c_char, c_void};

use tch::{Device, Tensor};

use crate::level;
use crate::window::{Moves, Window};

// SAFETY: the signatures are those of autograd.cpp, which this crate's build script compiles. No function lets an exception out; each
// that can fail leaves at most `length` bytes in `error`, the last of them 0.
unsafe extern "C" {
    fn lat_depthwise(
        x: *const c_void,
        weight: *const c_void,
        window: &Window,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
    fn lat_max_pool(
        x: *const c_void,
        window: &Window,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
    fn lat_avg_pool(
        x: *const c_void,
        window: &Window,
        error: *mut c_char,
        length: usize,
    ) -> *mut c_void;
    fn lat_is_plain(tensor: *const c_void) -> bool;
}

/// Bytes of a message of the C functions.
const MESSAGE: usize = 1024;

/// Depthwise convolution without bias: `x` `[n, c, h, w]`, `weight` `[c, 1, k, k]`, `[n, c, h', w']`. By a kernel where
/// [`takes_depthwise`] says so, else by libtorch; gradients of gradients are libtorch's. What is not contiguous is copied first, here and for
/// each gradient that needs it. Panics as tch does where the shapes do not fit.
pub fn depthwise(
    x: &Tensor,
    weight: &Tensor,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: i64,
) -> Tensor {
    let Some(window) = depthwise_window(x, weight, stride, padding, dilation) else {
        let groups = weight.size()[0];
        return x.conv2d(weight, None::<Tensor>, stride, padding, [dilation; 2], groups);
    };
    let (x, weight) = (x.as_ptr().cast(), weight.as_ptr().cast());
    made(|error| {
        // SAFETY: pointers to libtorch's own class, which live through the call.
        unsafe { lat_depthwise(x, weight, &window, error, MESSAGE) }
    })
}

/// Max pooling with a window of `k` by `k` and a border of `k / 2`: `[n, c, h, w]` to `[n, c, h', w']`. Of equal numbers the first gets the
/// gradient, and anything that is no number is the maximum, as in libtorch. Else as [`depthwise`], by [`takes_pool`].
pub fn max_pool(x: &Tensor, k: i64, stride: i64) -> Tensor {
    let Some(window) = pool_window(x, k, stride) else {
        return x.max_pool2d([k, k], [stride; 2], [k / 2; 2], [1, 1], false);
    };
    made(|error| {
        // SAFETY: as in `depthwise`.
        unsafe { lat_max_pool(x.as_ptr().cast(), &window, error, MESSAGE) }
    })
}

/// Average pooling like [`max_pool`]; the border does not count in the mean: a map of ones stays ones at its corners.
pub fn avg_pool(x: &Tensor, k: i64, stride: i64) -> Tensor {
    let Some(window) = pool_window(x, k, stride) else {
        return x.avg_pool2d([k, k], [stride; 2], [k / 2; 2], false, false, None::<i64>);
    };
    made(|error| {
        // SAFETY: as in `depthwise`.
        unsafe { lat_avg_pool(x.as_ptr().cast(), &window, error, MESSAGE) }
    })
}

/// Whether a kernel computes this convolution: 32-bit floats on the CPU, of which none are missing, a square window of at most 15 taps a side,
/// stride 1 or 2, a padding of at most half of what the window spans; and no trace is being written.
pub fn takes_depthwise(
    x: &Tensor,
    weight: &Tensor,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: i64,
) -> bool {
    depthwise_window(x, weight, stride, padding, dilation).is_some()
}

/// Whether a kernel computes pools of this window over `x`: as [`takes_depthwise`], with an odd `k`.
pub fn takes_pool(x: &Tensor, k: i64, stride: i64) -> bool {
    pool_window(x, k, stride).is_some()
}

fn depthwise_window(
    x: &Tensor,
    weight: &Tensor,
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: i64,
) -> Option<Window> {
    let (&[_, c, _, _], &[out, 1, k, k_w]) = (x.size().as_slice(), weight.size().as_slice()) else {
        return None;
    };
    let is_square = k == k_w && stride[0] == stride[1] && padding[0] == padding[1];
    if !is_square || c != out || !is_plain(weight) {
        return None;
    }
    window(x, [k, stride[0], padding[0], dilation])
}

fn pool_window(x: &Tensor, k: i64, stride: i64) -> Option<Window> {
    if k % 2 == 0 {
        return None;
    }
    window(x, [k, stride, k / 2, 1])
}

fn window(x: &Tensor, [k, stride, padding, dilation]: [i64; 4]) -> Option<Window> {
    let size: [i64; 4] = x.size().try_into().ok()?;
    let wide = |number: i64| usize::try_from(number).ok();
    let (k, stride, padding, dilation) = (wide(k)?, wide(stride)?, wide(padding)?, wide(dilation)?);
    let moves = Moves { k, stride, padding, dilation };
    let [n, c, h, w] = size;
    let window = Window::new(level(), [wide(n)?, wide(c)?, wide(h)?, wide(w)?], moves)?;
    is_plain(x).then_some(window)
}

fn is_plain(tensor: &Tensor) -> bool {
    // SAFETY: a pointer to libtorch's own class, which lives through the call.
    tensor.device() == Device::Cpu && unsafe { lat_is_plain(tensor.as_ptr().cast()) }
}

/// The tensor that a C function made; panics as tch does where it failed.
fn made(operation: impl FnOnce(*mut c_char) -> *mut c_void) -> Tensor {
    let mut message = [0; MESSAGE];
    let found = operation(message.as_mut_ptr());
    let bytes = message.map(c_char::cast_unsigned);
    let text = || CStr::from_bytes_until_nul(&bytes).unwrap_or(c"").to_string_lossy();
    assert!(!found.is_null(), "{}", text());
    // SAFETY: the pointer is one to libtorch's own class made by `new`, and no one else has it.
    unsafe { Tensor::from_ptr(found.cast()) }
}
