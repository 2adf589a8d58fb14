//! The rules by which official codes round widths.

/// `make_divisible` of `MobileNet`'s code, as used by Once-for-All, `ProxylessNAS` and `AttentiveNAS`: the nearest multiple (at
/// least one divisor, halves rounded up), or the next larger one if the nearest is less than 0.9 of the value. `AttentiveNAS`'
/// version differs at values below half a divisor, which no published network has.
pub(crate) fn divisible(value: u32, divisor: u32) -> u32 {
    multiple(f64::from(value), divisor, 0.9)
}

/// [`divisible`] applied to a width times a multiplier.
pub(crate) fn scaled_divisible(width: u32, multiplier: f64, divisor: u32) -> u32 {
    multiple(f64::from(width) * multiplier, divisor, 0.9)
}

/// mobile-vision's rule (`arch/utils/helper.py`): the nearest multiple, or the next larger one if the nearest is less than 0.95
/// of the value.
pub(crate) fn nearest_divisible(value: f64, divisor: u32) -> u32 {
    multiple(value, divisor, 0.95)
}

fn multiple(value: f64, divisor: u32, least: f64) -> u32 {
    let step = f64::from(divisor);
    let nearest = (((value + step / 2.0) / step).floor() * step).max(step);
    // Widths are far below 2^32.
    (if nearest < least * value { nearest + step } else { nearest }) as u32
}

/// A width at another scale of the skeleton: times `to / of` (the skeleton's channels over the paper's), rounded to a multiple of
/// `divisor`, at least one divisor. At the paper's scale the width stays as it is.
pub(crate) fn at_scale(width: u32, (to, of): (u32, u32), divisor: u32) -> u32 {
    if to == of {
        return width;
    }
    let exact = f64::from(width) * f64::from(to) / f64::from(of);
    let step = f64::from(divisor);
    ((exact / step).round().max(1.0) * step) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_make_divisible() {
        assert_eq!([1, 17, 18, 20, 132].map(|c| divisible(c, 8)), [8, 16, 24, 24, 136]);
        let ofa = [16, 24, 40, 80, 112, 160, 960, 1280].map(|c| scaled_divisible(c, 1.2, 8));
        assert_eq!(ofa, [24, 32, 48, 96, 136, 192, 1152, 1536]);
    }

    #[test]
    fn the_rules_differ_where_it_is_known() {
        let differing: Vec<u32> =
            (1..=1024).filter(|&c| divisible(c, 8) != nearest_divisible(f64::from(c), 8)).collect();
        assert_eq!(differing, [17, 26, 34, 35, 43, 51, 59]);
    }

    #[test]
    fn scales_keep_the_divisor() {
        assert_eq!(at_scale(112, (16, 16), 8), 112);
        assert_eq!([8, 24, 184].map(|c| at_scale(c, (4, 16), 2)), [2, 6, 46]);
        assert_eq!(at_scale(16, (1, 32), 2), 2);
    }
}
