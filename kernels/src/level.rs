//! Which instructions the kernels use.

use std::cell::Cell;
use std::env;
use std::sync::OnceLock;

use crate::simd::{Kernel, Portable};

/// The variable that chooses a level, for measuring and tests.
const VARIABLE: &str = "LAT_KERNELS";

/// Which instructions the kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No kernel: libtorch computes all.
    Off,
    /// What any processor has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

/// From worst to best.
const ALL: [(&str, Level); 4] = [
    ("off", Level::Off),
    ("portable", Level::Portable),
    ("avx2", Level::Avx2),
    ("avx512", Level::Avx512),
];

thread_local! {
    static CHOSEN: Cell<Option<Level>> = const { Cell::new(None) };
}

/// The level of this process: the best that the processor has, or what the variable `LAT_KERNELS` names (`off`, `portable`, `avx2` or
/// `avx512`). What the processor lacks, and what no level is called, is logged once as a warning; then the best counts.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    CHOSEN
        .get()
        .unwrap_or_else(|| *LEVEL.get_or_init(|| of_process(env::var(VARIABLE).ok().as_deref())))
}

/// Computes with another level on this thread. Gradients are computed with the level of their forward pass. A level that the
/// processor lacks computes as [`Level::Portable`].
pub fn at_level<T>(level: Level, compute: impl FnOnce() -> T) -> T {
    /// Puts the level back when compute panics too.
    struct Back(Option<Level>);
    impl Drop for Back {
        fn drop(&mut self) {
            CHOSEN.set(self.0);
        }
    }
    let _back = Back(CHOSEN.replace(Some(level)));
    compute()
}

fn of_process(wish: Option<&str>) -> Level {
    let best = Level::best();
    let (level, warning) = chosen(wish, best);
    if let Some(warning) = warning {
        log::warn!("{warning}");
    }
    level
}

/// The level for a wish, and what is to be said about it.
fn chosen(wish: Option<&str>, best: Level) -> (Level, Option<String>) {
    let Some(wish) = wish.filter(|wish| !wish.is_empty()) else {
        let slow = "found no AVX2 on this processor: training computes depthwise convolutions and pools by portable code, which is slower";
        return (best, (best < Level::Avx2).then(|| slow.to_owned()));
    };
    match ALL.iter().find(|(name, _)| *name == wish) {
        Some((_, level)) if *level <= best => (*level, None),
        Some(_) => {
            let lacks = format!(
                "expected a level of this processor in {VARIABLE}, found '{wish}', which it lacks; goes on with"
            );
            (best, Some(format!("{lacks} {}", best.name())))
        }
        None => {
            let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            let found =
                format!("expected one of {names} in {VARIABLE}, found '{wish}'; goes on with");
            (best, Some(format!("{found} {}", best.name())))
        }
    }
}

impl Level {
    /// The best that this processor has.
    pub fn best() -> Self {
        let has = |level: &&(&str, Self)| level.1.is_there();
        ALL.iter().rev().find(has).map_or(Self::Portable, |(_, level)| *level)
    }

    /// What the variable calls it.
    pub fn name(self) -> &'static str {
        ALL[self as usize].0
    }

    /// Whether the processor has it.
    pub fn is_there(self) -> bool {
        match self {
            Self::Off | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => crate::avx2::Avx2::detected().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => crate::avx512::Avx512::detected().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The level of a code, which is its number; others are [`Level::Portable`], which is always there.
    pub(crate) fn of_code(code: usize) -> Self {
        ALL.get(code).map_or(Self::Portable, |(_, level)| *level)
    }

    /// The level whose registers rows of this length fill better.
    pub(crate) fn for_rows(self, length: usize) -> Self {
        if self == Self::Avx512 && length <= 8 { Self::Avx2 } else { self }
    }

    /// Runs a kernel with the instructions of this level, or with portable ones where the processor lacks them.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            use crate::avx2::Avx2;
            use crate::avx512::Avx512;
            if let (Self::Avx512, Some(simd)) = (self, Avx512::detected()) {
                return simd.run(kernel);
            }
            if let (Self::Avx2, Some(simd)) = (self, Avx2::detected()) {
                return simd.run(kernel);
            }
        }
        kernel.run(Portable)
    }

    /// Numbers in a register of what [`Level::run`] uses.
    pub(crate) fn lanes(self) -> usize {
        struct Lanes;
        impl Kernel for Lanes {
            type Output = usize;
            fn run<S: crate::simd::Simd>(self, _simd: S) -> usize {
                S::LANES
            }
        }
        self.run(Lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_followed_or_spoken_of() {
        assert_eq!(chosen(None, Level::Avx2), (Level::Avx2, None));
        assert_eq!(chosen(Some("off"), Level::Avx2), (Level::Off, None));
        assert_eq!(chosen(Some("portable"), Level::Avx512), (Level::Portable, None));
        let (level, warning) = chosen(None, Level::Portable);
        assert_eq!((level, warning.unwrap().contains("no AVX2")), (Level::Portable, true));
        let (level, warning) = chosen(Some("avx512"), Level::Avx2);
        assert_eq!((level, warning.unwrap().contains("lacks")), (Level::Avx2, true));
        let (level, warning) = chosen(Some("AVX"), Level::Avx2);
        let expected = "expected one of off, portable, avx2, avx512 in LAT_KERNELS, found 'AVX'; goes on with avx2";
        assert_eq!((level, warning.as_deref()), (Level::Avx2, Some(expected)));
    }

    #[test]
    fn a_level_holds_for_one_computation_even_if_it_panics() {
        let before = level();
        assert_eq!(at_level(Level::Off, || at_level(Level::Portable, level)), Level::Portable);
        let panicked = std::panic::catch_unwind(|| at_level(Level::Off, || panic!("a test's own")));
        assert!(panicked.is_err());
        assert_eq!(level(), before);
    }

    #[test]
    fn codes_are_the_levels_numbers() {
        for (_, level) in ALL {
            assert_eq!(Level::of_code(level as usize), level);
        }
        assert_eq!(Level::of_code(99), Level::Portable);
    }
}
