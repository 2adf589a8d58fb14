//! Adds maps of different sizes: small ones are placed at the grid positions of the largest (`FBNetV2`, arXiv 2004.05565, figure
//! 2).

use tch::Tensor;

/// The row, among `to` rows, at which each of `n` rows of a small map is placed: the one from which nearest neighbours would take
/// it, `floor(i * to / n)`.
fn grid(n: i64, to: i64, like: &Tensor) -> Tensor {
    let rows: Vec<i64> = (0..n).map(|i| i * to / n).collect();
    Tensor::from_slice(&rows).to_device(like.device())
}

/// Scatters `[n, c, h, w]` to a map `[n, c, to, to]` that is at least as large: the pixels at their grid positions, 0 elsewhere.
pub fn scatter(xs: &Tensor, to: i64) -> Tensor {
    let (n, c, h, w) = xs.size4().expect("maps have four dimensions");
    if (h, w) == (to, to) {
        return xs.shallow_clone();
    }
    let (rows, columns) = (grid(h, to, xs).unsqueeze(1), grid(w, to, xs));
    let all = [None, None, Some(rows), Some(columns)];
    Tensor::zeros([n, c, to, to], (xs.kind(), xs.device())).index_put(&all, xs, false)
}

/// The sum of maps `[n, c, h, w]` of several sizes, each multiplied by its scalar weight and placed at the grid positions of the
/// largest.
pub fn scattered_sum(maps: &[(Tensor, Tensor)]) -> Tensor {
    let to = maps.iter().map(|(_, map)| map.size()[2]).max().expect("at least one map");
    let weighed = maps.iter().map(|(weight, map)| scatter(map, to) * weight);
    weighed.reduce(|sum, map| sum + map).expect("at least one map")
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn wave(k: f64, size: &[i64]) -> Tensor {
        let n: i64 = size.iter().product();
        ((Tensor::arange(n, (Kind::Float, Device::Cpu)) + 1.0) * (1.0 + k / 10.0)).sin().view(size)
    }

    /// A map subsampled by nearest neighbours.
    fn subsampled(xs: &Tensor, hw: i64) -> Tensor {
        let positions = grid(hw, xs.size()[2], xs);
        xs.index_select(2, &positions).index_select(3, &positions)
    }

    // Number 6 of what must be true of FBNetV2.
    #[test]
    fn fbnetv2_6_the_identity_gives_the_map_on_grid_positions_and_0_elsewhere() {
        let xs = wave(1.0, &[2, 3, 8, 8]);
        for (small, taken) in [(4, [0, 2, 4, 6].as_slice()), (3, &[0, 2, 5]), (1, &[0])] {
            let found = scatter(&subsampled(&xs, small), 8);
            let on = Tensor::zeros([8], (Kind::Float, Device::Cpu));
            for &i in taken {
                let _ = on.get(i).fill_(1.0);
            }
            assert_eq!(found, &xs * on.unsqueeze(1) * on, "{small} of 8");
        }
        assert_eq!(scatter(&subsampled(&xs, 8), 8), xs, "a factor of 1 changes nothing");
    }

    #[test]
    fn an_operation_at_several_sizes_is_put_back_where_it_was_taken_from() {
        let (xs, kernel) = (wave(97.0, &[2, 3, 8, 8]), wave(99.0, &[3, 1, 3, 3]) * 0.5);
        let run = |xs: &Tensor| xs.conv2d(&kernel, None::<Tensor>, [1, 1], [1, 1], [1, 1], 3);
        let maps = [(8, 0.2), (4, 0.5), (2, 0.3)]
            .map(|(hw, weight): (i64, f64)| (Tensor::from(weight), run(&subsampled(&xs, hw))));
        let found = scattered_sum(&maps);
        let at = |map: usize, y: i64, x: i64| maps[map].1.double_value(&[1, 2, y, x]);
        for y in 0..8 {
            for x in 0..8 {
                let mut expected = 0.2 * at(0, y, x);
                if y % 2 == 0 && x % 2 == 0 {
                    expected += 0.5 * at(1, y / 2, x / 2);
                }
                if y % 4 == 0 && x % 4 == 0 {
                    expected += 0.3 * at(2, y / 4, x / 4);
                }
                assert!((found.double_value(&[1, 2, y, x]) - expected).abs() < 1e-6, "{y} {x}");
            }
        }
    }
}
