//! What kernels want of a processor: registers of several numbers. Each set of instructions is a type; who has a value of it has the
//! instructions.

#![expect(
    unsafe_code,
    reason = "reads rows of registers without asking for each whether it lies within"
)]

/// The numbers of a register and what can be done with them.
pub(crate) trait Simd: Copy {
    /// Numbers in a register.
    const LANES: usize;
    /// A register.
    type Floats: Copy;
    /// The first numbers of a register.
    type Mask: Copy;

    /// The same number everywhere.
    fn splat(self, value: f32) -> Self::Floats;

    /// The numbers at `at` and behind.
    ///
    /// # Safety
    /// `at + LANES` is at most the length.
    unsafe fn load(self, from: &[f32], at: usize) -> Self::Floats;

    /// Puts the numbers to `at` and behind.
    ///
    /// # Safety
    /// `at + LANES` is at most the length.
    unsafe fn store(self, to: &mut [f32], at: usize, value: Self::Floats);

    /// The first `n` numbers, at most those of a register.
    fn first(self, n: usize) -> Self::Mask;

    /// The first numbers at `at` and behind; zeros behind these.
    ///
    /// # Safety
    /// `at` and how many they are is at most the length.
    unsafe fn load_first(self, from: &[f32], at: usize, mask: Self::Mask) -> Self::Floats;

    /// Puts the first numbers to `at` and behind, and leaves what is behind these as it is.
    ///
    /// # Safety
    /// `at` and how many they are is at most the length.
    unsafe fn store_first(self, to: &mut [f32], at: usize, mask: Self::Mask, value: Self::Floats);

    /// The same with a mask and whether it is a whole register, which is stored faster.
    ///
    /// # Safety
    /// As for `store_first`.
    #[inline(always)]
    unsafe fn store_width(
        self,
        to: &mut [f32],
        at: usize,
        (mask, is_full): (Self::Mask, bool),
        value: Self::Floats,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match is_full {
                true => self.store(to, at, value),
                false => self.store_first(to, at, mask, value),
            }
        }
    }

    /// `a * b + c`; with FMA rounded once.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// Lane by lane `(value, index)` where the value is larger than the best so far or no number, else `best` as it is.
    fn larger(
        self,
        challenger: (Self::Floats, Self::Floats),
        best: (Self::Floats, Self::Floats),
    ) -> (Self::Floats, Self::Floats);
}

/// Work that is compiled once for each set of instructions. `run` must be inlined to be compiled with them.
pub(crate) trait Kernel {
    /// What comes out.
    type Output;
    /// Does the work.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// In this crate's own tests every access is looked at; elsewhere what promises it is.
#[inline(always)]
pub(crate) fn within(at: usize, n: usize, len: usize) {
    if cfg!(test) {
        assert!(at + n <= len, "{n} numbers at {at} of {len}");
    }
}

/// No instructions in particular; what the compiler makes of arrays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

/// As many as AVX2 has, so that tests of one compare with the other.
const LANES: usize = 8;

impl Simd for Portable {
    const LANES: usize = LANES;
    type Floats = [f32; LANES];
    type Mask = usize;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: &[f32], at: usize) -> Self::Floats {
        within(at, LANES, from.len());
        // SAFETY: the caller's promise; arrays need no other alignment than their numbers.
        unsafe { from.as_ptr().add(at).cast::<Self::Floats>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize, value: Self::Floats) {
        within(at, LANES, to.len());
        // SAFETY: as for load.
        unsafe { to.as_mut_ptr().add(at).cast::<Self::Floats>().write(value) }
    }

    #[inline(always)]
    fn first(self, n: usize) -> usize {
        n.min(LANES)
    }

    #[inline(always)]
    unsafe fn load_first(self, from: &[f32], at: usize, mask: usize) -> Self::Floats {
        if mask == LANES {
            // SAFETY: the caller's promise.
            return unsafe { self.load(from, at) };
        }
        let mut value = [0.0; LANES];
        value.iter_mut().zip(&from[at..][..mask]).for_each(|(to, from)| *to = *from);
        value
    }

    #[inline(always)]
    unsafe fn store_first(self, to: &mut [f32], at: usize, mask: usize, value: Self::Floats) {
        to[at..][..mask].iter_mut().zip(value).for_each(|(to, from)| *to = from);
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // In one rounding this would be a function call on processors without FMA.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn larger(
        self,
        (value, index): (Self::Floats, Self::Floats),
        best: (Self::Floats, Self::Floats),
    ) -> (Self::Floats, Self::Floats) {
        let wins = |i: usize| value[i] > best.0[i] || value[i].is_nan();
        let of = |new: Self::Floats, old: Self::Floats| {
            std::array::from_fn(|i| if wins(i) { new[i] } else { old[i] })
        };
        (of(value, best.0), of(index, best.1))
    }
}
