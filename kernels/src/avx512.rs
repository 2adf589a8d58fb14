//! AVX-512: registers of sixteen numbers.

#![expect(unsafe_code, reason = "the processor's own instructions")]
#![allow(clippy::wildcard_imports, reason = "their names tell where they are from")]

use std::arch::x86_64::*;

use crate::simd::{Kernel, Simd, within};

const LANES: usize = 16;

/// Proof that the processor has AVX-512's foundation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// None where the processor lacks it.
    pub(crate) fn detected() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// Runs a kernel compiled with these instructions.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f")]
        fn compiled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: a value of this type is there only where the processor has these instructions.
        unsafe { compiled(self, kernel) }
    }
}

/// How many numbers a mask stands for.
#[inline(always)]
fn count(mask: __mmask16) -> usize {
    mask.count_ones() as usize
}

impl Simd for Avx512 {
    const LANES: usize = LANES;
    type Floats = __m512;
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the processor has AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: &[f32], at: usize) -> __m512 {
        within(at, LANES, from.len());
        // SAFETY: the processor has AVX-512; sixteen numbers lie within, by the caller's promise.
        unsafe { _mm512_loadu_ps(from.as_ptr().add(at)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize, value: __m512) {
        within(at, LANES, to.len());
        // SAFETY: as for load.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr().add(at), value) }
    }

    #[inline(always)]
    fn first(self, n: usize) -> __mmask16 {
        ((1_u32 << n.min(LANES)) - 1) as __mmask16
    }

    #[inline(always)]
    unsafe fn load_first(self, from: &[f32], at: usize, mask: __mmask16) -> __m512 {
        within(at, count(mask), from.len());
        // SAFETY: the processor has AVX-512; the first numbers lie within, by the caller's promise, and no others are read.
        unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr().add(at)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: &mut [f32], at: usize, mask: __mmask16, value: __m512) {
        within(at, count(mask), to.len());
        // SAFETY: as for load_first.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr().add(at), mask, value) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the processor has AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn larger(self, (value, index): (__m512, __m512), best: (__m512, __m512)) -> (__m512, __m512) {
        // SAFETY: the processor has AVX-512.
        unsafe {
            let is_larger = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, best.0);
            let wins = is_larger | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            (_mm512_mask_mov_ps(best.0, wins, value), _mm512_mask_mov_ps(best.1, wins, index))
        }
    }
}
