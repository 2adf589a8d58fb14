//! The Pareto front of many points: those that no other beats in both cost and accuracy.

/// Relative difference up to which two costs count as equal. Predictors compute in single precision, so architectures of equal cost
/// differ in the last digits.
pub const SAME_COST: f64 = 1e-5;

/// Indices of the points (cost, accuracy) on the front, cheapest first. Each is more accurate than all points that cost less or the
/// same. Of several points with equal cost (within [`SAME_COST`]) and accuracy, only the cheapest, or then the first, is listed.
/// Points that are not finite are left out.
pub fn front(points: &[(f64, f64)]) -> Vec<usize> {
    let is_finite = |i: &usize| points[*i].0.is_finite() && points[*i].1.is_finite();
    let mut order: Vec<usize> = (0..points.len()).filter(is_finite).collect();
    // The sort is stable, so equals keep their order.
    order.sort_by(|&a, &b| points[a].0.total_cmp(&points[b].0));
    let mut front: Vec<usize> = Vec::new();
    // Costs are compared with the first of the equal ones, so that a chain of small steps does not count as equal.
    let same = |a: &usize, b: &usize| points[*b].0 <= points[*a].0 * (1.0 + SAME_COST);
    let mut rest = &order[..];
    while let Some(first) = rest.first() {
        let n = rest.iter().take_while(|i| same(first, i)).count();
        let (tied, after) = rest.split_at(n);
        // `max_by` returns the last of several equals, hence the reversal.
        let best = tied.iter().rev().max_by(|a, b| points[**a].1.total_cmp(&points[**b].1));
        let best = *best.expect("the first costs the same as itself");
        if front.last().is_none_or(|&last| points[best].1 > points[last].1) {
            front.push(best);
        }
        rest = after;
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats_the_cheapest_first() {
        let points = [(3.0, 95.0), (1.0, 90.0), (2.0, 95.0), (2.5, 94.0), (0.5, 80.0)];
        assert_eq!(front(&points), [4, 1, 2]);
        assert_eq!(front(&[]), [0; 0]);
        assert_eq!(front(&[(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, 2.0)]), [2]);
    }

    #[test]
    fn costs_that_differ_by_rounding_are_one() {
        // The second costs slightly more than the first and is better. Both count as equal in cost, so the first is beaten.
        assert_eq!(front(&[(1.0, 90.0), (1.000_001, 91.0)]), [1]);
        assert_eq!(front(&[(1.0, 90.0), (1.001, 91.0)]), [0, 1]);
        // Among equals the first one.
        assert_eq!(front(&[(1.0, 90.0), (1.0, 90.0)]), [0]);
        assert_eq!(front(&[(1.000_001, 90.0), (1.0, 90.0)]), [1]);
        // A chain of small steps does not count as one cost.
        let chain: Vec<(f64, f64)> =
            (0..100).map(|i| (1.0 + 6e-6 * f64::from(i), f64::from(i))).collect();
        assert!(front(&chain).len() > 40, "{:?}", front(&chain));
    }

    #[test]
    fn every_point_off_the_front_is_beaten_by_one_on_it() {
        let point = |i: u32| {
            let hash = i.wrapping_mul(2_654_435_761);
            (f64::from(hash % 97), f64::from(hash / 97 % 89))
        };
        let points: Vec<(f64, f64)> = (0..2000).map(point).collect();
        let front = front(&points);
        for &(cost, accuracy) in &points {
            assert!(front.iter().any(|&i| points[i].0 <= cost && points[i].1 >= accuracy));
        }
        let rises =
            |w: &[usize]| points[w[0]].0 < points[w[1]].0 && points[w[0]].1 < points[w[1]].1;
        assert!(front.windows(2).all(rises));
    }
}
