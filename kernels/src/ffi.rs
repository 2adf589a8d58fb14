//! What autograd.cpp calls: kernels on parts of tensors, by address. Nothing unwinds into C++.

#![expect(unsafe_code, reason = "functions that C++ calls, with addresses")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::window::Window;
use crate::{avg_pool, depthwise, max_pool};

/// 0 where the work was done, 1 where it panicked.
fn code(work: impl FnOnce()) -> i32 {
    i32::from(catch_unwind(AssertUnwindSafe(work)).is_err())
}

/// Planes, or what else is `len` numbers long, from `begin` to `end`.
///
/// # Safety
/// `all` points to at least `end * len` numbers, which nobody writes while the slice lives.
unsafe fn part<'a, T>(all: *const T, len: usize, [begin, end]: [usize; 2]) -> &'a [T] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(all.add(begin * len), (end - begin) * len) }
}

/// The same to write to.
///
/// # Safety
/// `all` points to at least `end * len` numbers, and nobody else has those from `begin * len` on while the slice lives.
unsafe fn part_mut<'a, T>(all: *mut T, len: usize, [begin, end]: [usize; 2]) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts_mut(all.add(begin * len), (end - begin) * len) }
}

// SAFETY of all that follows: autograd.cpp gives contiguous tensors of the window's sizes, allocated for as long as the call takes;
// parts of what is written do not overlap between threads. The names are this project's own.

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_depthwise_forward(
    window: &Window,
    x: *const f32,
    weight: *const f32,
    y: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (x, weight, y) = unsafe {
        (part(x, w.plane(), of), part(weight, w.taps(), [0, w.c]), part_mut(y, w.out_plane(), of))
    };
    code(|| depthwise::forward(w, x, weight, y, begin))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_depthwise_input_gradient(
    window: &Window,
    dy: *const f32,
    weight: *const f32,
    dx: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (dy, weight, dx) = unsafe {
        (part(dy, w.out_plane(), of), part(weight, w.taps(), [0, w.c]), part_mut(dx, w.plane(), of))
    };
    code(|| depthwise::input_gradient(w, dy, weight, dx, begin))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_depthwise_weight_gradient(
    window: &Window,
    x: *const f32,
    dy: *const f32,
    dw: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (all, w) = ([0, window.n * window.c], window);
    // SAFETY: see above; parts are channels.
    let (x, dy, dw) = unsafe {
        (
            part(x, w.plane(), all),
            part(dy, w.out_plane(), all),
            part_mut(dw, w.taps(), [begin, end]),
        )
    };
    code(|| depthwise::weight_gradient(w, x, dy, dw, begin))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_maxima_forward(
    window: &Window,
    x: *const f32,
    y: *mut f32,
    taps: *mut u8,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (x, y, taps) = unsafe {
        (part(x, w.plane(), of), part_mut(y, w.out_plane(), of), part_mut(taps, w.out_plane(), of))
    };
    code(|| max_pool::forward(w, x, y, taps))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_maxima_gradient(
    window: &Window,
    dy: *const f32,
    taps: *const u8,
    dx: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (dy, taps, dx) = unsafe {
        (part(dy, w.out_plane(), of), part(taps, w.out_plane(), of), part_mut(dx, w.plane(), of))
    };
    code(|| max_pool::gradient(w, dy, taps, dx))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_means_forward(
    window: &Window,
    x: *const f32,
    y: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (x, y) = unsafe { (part(x, w.plane(), of), part_mut(y, w.out_plane(), of)) };
    code(|| avg_pool::forward(w, x, y))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lat_means_gradient(
    window: &Window,
    dy: *const f32,
    dx: *mut f32,
    begin: usize,
    end: usize,
) -> i32 {
    let (of, w) = ([begin, end], window);
    // SAFETY: see above.
    let (dy, dx) = unsafe { (part(dy, w.out_plane(), of), part_mut(dx, w.plane(), of)) };
    code(|| avg_pool::gradient(w, dy, dx))
}
