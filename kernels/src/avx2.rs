//! AVX2 with FMA: registers of eight numbers.

#![expect(unsafe_code, reason = "the processor's own instructions")]
#![allow(clippy::wildcard_imports, reason = "their names tell where they are from")]

use std::arch::x86_64::*;

use crate::simd::{Kernel, Simd, within};

const LANES: usize = 8;

/// Proof that the processor has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// None where the processor lacks them.
    pub(crate) fn detected() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Runs a kernel compiled with these instructions.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: a value of this type is there only where the processor has these instructions.
        unsafe { compiled(self, kernel) }
    }
}

/// How many numbers a mask stands for.
#[inline(always)]
fn count(mask: __m256i) -> usize {
    // SAFETY: who has a mask of this kind has AVX2.
    unsafe { _mm256_movemask_ps(_mm256_castsi256_ps(mask)).count_ones() as usize }
}

impl Simd for Avx2 {
    const LANES: usize = LANES;
    type Floats = __m256;
    type Mask = __m256i;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: the processor has AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: &[f32], at: usize) -> __m256 {
        within(at, LANES, from.len());
        // SAFETY: the processor has AVX2; eight numbers lie within, by the caller's promise.
        unsafe { _mm256_loadu_ps(from.as_ptr().add(at)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32], at: usize, value: __m256) {
        within(at, LANES, to.len());
        // SAFETY: as for load.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr().add(at), value) }
    }

    #[inline(always)]
    fn first(self, n: usize) -> __m256i {
        let n = n.min(LANES) as i32;
        // SAFETY: the processor has AVX2.
        unsafe {
            _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
        }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: &[f32], at: usize, mask: __m256i) -> __m256 {
        within(at, count(mask), from.len());
        // SAFETY: the processor has AVX2; the first numbers lie within, by the caller's promise, and no others are read.
        unsafe { _mm256_maskload_ps(from.as_ptr().add(at), mask) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: &mut [f32], at: usize, mask: __m256i, value: __m256) {
        within(at, count(mask), to.len());
        // SAFETY: as for load_first.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr().add(at), mask, value) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the processor has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn larger(self, (value, index): (__m256, __m256), best: (__m256, __m256)) -> (__m256, __m256) {
        // SAFETY: the processor has AVX2.
        unsafe {
            let is_larger = _mm256_cmp_ps::<_CMP_GT_OQ>(value, best.0);
            let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(value, value);
            let wins = _mm256_or_ps(is_larger, is_nan);
            (_mm256_blendv_ps(best.0, value, wins), _mm256_blendv_ps(best.1, index, wins))
        }
    }
}
