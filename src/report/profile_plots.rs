//! The pictures of a profile run.

use std::collections::BTreeMap;

use lat_data::{Measurement, Role, Status, median};

use super::html::{Figure, percent};
use super::plot::{Mark, Plot};
use super::predictions::JudgedPredictions;

/// Number of bars in a histogram, and of time intervals for the busy share.
const BINS: usize = 40;
/// Up to this many rounds of anchors, lines between them can be followed.
const MOST_JOINED: usize = 20;

fn measured<'a>(live: &'a [&Measurement], role: Role) -> impl Iterator<Item = &'a Measurement> {
    live.iter().copied().filter(move |row| row.role == role && row.status != Status::Failed)
}

/// Returns the time of a row, in minutes since the end of the first row.
fn clock(live: &[&Measurement]) -> impl Fn(&Measurement) -> f64 + use<> {
    let begin_s = live.iter().map(|row| row.unix_s).fold(f64::INFINITY, f64::min);
    move |row| (row.unix_s - begin_s) / 60.0
}

/// A histogram of the latencies.
pub(super) fn histogram(live: &[&Measurement]) -> Figure {
    let values: Vec<f64> = measured(live, Role::Sample).map(|row| row.latency_ms).collect();
    let (bars, width) = bins(&values);
    let mut plot = Plot::new("latency, ms per batch", "architectures").with(
        "samples",
        Mark::Bars(width),
        bars,
    );
    plot.from_zero = true;
    let reading = format!(
        "Medians of {} samples. Several heaps mean that one choice decides the latency, such as the number of convolutions.",
        values.len()
    );
    Figure::new("Distribution of latency", &plot, &reading)
}

/// Bars (left side, count) over the range of the values, and their width.
fn bins(values: &[f64]) -> (Vec<(f64, f64)>, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        // A single value has no range, so its bar gets a tenth of the value as width.
        let width = 0.1 * low.abs().max(f64::MIN_POSITIVE);
        return (vec![(low - 0.5 * width, values.len() as f64)], width);
    }
    let width = (high - low) / BINS as f64;
    let mut counts = [0usize; BINS];
    for value in values {
        counts[(((value - low) / width) as usize).min(BINS - 1)] += 1;
    }
    let bar = |(i, &count): (usize, &usize)| (low + i as f64 * width, count as f64);
    (counts.iter().enumerate().map(bar).collect(), width)
}

/// Share of each row status.
pub(super) fn statuses(shares: &[(Status, f64)]) -> Figure {
    let mut plot = Plot::new("", "share of rows, %");
    for (place, (status, share)) in shares.iter().enumerate() {
        let name = format!("{} {}", status.name(), percent(*share));
        plot = plot.with(&name, Mark::Bars(0.8), vec![(place as f64, 100.0 * share)]);
    }
    plot.from_zero = true;
    plot.without_x = true;
    Figure::new(
        "How rows ended",
        &plot,
        "Converged and capped rows are good; the more are noisy or throttled, the less the numbers are worth. The words are explained below.",
    )
}

/// Repeated measurements of samples against the first ones.
pub(super) fn noise(live: &[&Measurement], floor: Option<f64>) -> Figure {
    let first: BTreeMap<u64, f64> =
        measured(live, Role::Sample).map(|row| (row.index, row.latency_ms)).collect();
    let pairs = |role| -> Vec<(f64, f64)> {
        let moved = |row: &Measurement| {
            let first_ms = first.get(&row.index)?;
            Some((*first_ms, 100.0 * (row.latency_ms / first_ms - 1.0)))
        };
        measured(live, role).filter_map(moved).collect()
    };
    let (repeats, fresh) = (pairs(Role::Repeat), pairs(Role::Fresh));
    let n = repeats.len() + fresh.len();
    let restarts = match fresh.len() {
        0 => String::new(),
        n => format!(" {n} of them in a process of its own: they show what a restart changes."),
    };
    let plot = Plot::new("first latency, ms", "second against first, %")
        .with("in the same process", Mark::Dots, repeats)
        .with("in a process of its own", Mark::Dots, fresh)
        .level((n > 0).then_some(0.0));
    let reading = match floor {
        Some(floor) => format!(
            "{n} samples measured a second time, later in the run. Half of the repeats are within {} of the first: no predictor can be judged finer than that.{restarts}",
            percent(floor)
        ),
        None => "No sample was measured a second time, so the noise is unknown.".to_owned(),
    };
    Figure::new("Noise", &plot, &reading)
}

/// The anchors during the run, each relative to its own median.
pub(super) fn drift(live: &[&Measurement]) -> Figure {
    let minutes = clock(live);
    let mut anchors: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for row in measured(live, Role::Anchor) {
        anchors.entry(row.index).or_default().push((minutes(row), row.latency_ms));
    }
    let moved: Vec<(u64, Vec<(f64, f64)>)> = anchors
        .iter()
        .filter_map(|(index, series)| {
            let level = median(series.iter().map(|(_, ms)| *ms))?;
            let moved = series.iter().map(|(at, ms)| (*at, 100.0 * (ms / level - 1.0)));
            Some((*index, moved.collect()))
        })
        .collect();
    let many = moved.iter().any(|(_, series)| series.len() > MOST_JOINED);
    let mark = if many { Mark::Dots } else { Mark::DottedLine };
    let mut plot = Plot::new("minutes since the first row", "against the anchor's median, %");
    for (index, series) in &moved {
        plot = plot.with(&format!("anchor {}", index + 1), mark.clone(), series.clone());
    }
    if many {
        let series: Vec<_> = moved.into_iter().map(|(_, series)| series).collect();
        plot = plot.with("running median of all", Mark::Line, running_median(&series));
    }
    let plot = plot.level((!anchors.is_empty()).then_some(0.0));
    Figure::new(
        "Drift",
        &plot,
        "The same few architectures measured again and again. What moves together means that the device itself became faster or slower; what jitters apart is noise.",
    )
}

/// For each round the median over all anchors in it and in the two rounds on either side, at the first moment of the round.
fn running_median(anchors: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let n_rounds = anchors.iter().map(Vec::len).max().unwrap_or(0);
    let at = |round: usize| {
        let near = anchors.iter().flat_map(move |series| {
            series.iter().take(round + 3).skip(round.saturating_sub(2)).map(|(_, moved)| *moved)
        });
        let moments = anchors.iter().filter_map(|series| Some(series.get(round)?.0));
        Some((moments.fold(f64::INFINITY, f64::min), median(near)?))
    };
    (0..n_rounds).filter_map(at).collect()
}

/// The share of the time that was spent in runs.
pub(super) fn busy(live: &[&Measurement]) -> Figure {
    let minutes = clock(live);
    let mut rows: Vec<&Measurement> = live.to_vec();
    rows.sort_by(|a, b| a.unix_s.total_cmp(&b.unix_s));
    let stretch = rows.len().div_ceil(BINS).max(1);
    let share = |rows: &[&Measurement]| {
        let timed_s: f64 = rows.iter().map(|row| row.timed_s).sum();
        let wall_s: f64 = rows.iter().map(|row| row.wall_s).sum();
        (rows.last().map_or(0.0, |row| minutes(row)), 100.0 * timed_s / wall_s)
    };
    let mut plot = Plot::new("minutes since the first row", "time inside runs, %").with(
        "busy",
        Mark::DottedLine,
        rows.chunks(stretch).map(share).collect(),
    );
    plot.from_zero = true;
    Figure::new(
        "Busy share",
        &plot,
        &format!(
            "Seconds inside warm-up and timed runs over all seconds, of {stretch} row(s) each. The rest is building networks and writing rows: the nearer to 100 %, the less time is lost."
        ),
    )
}

/// Clock, temperature and power over time, as far as they were recorded.
pub(super) fn sensors(live: &[&Measurement]) -> Vec<Figure> {
    type Sensor = (&'static str, &'static str, fn(&Measurement) -> Option<f64>, &'static str);
    const SENSORS: [Sensor; 3] = [
        (
            "Clock",
            "MHz",
            |row| row.clock_mhz,
            "Clock after each row. Steps down mean that the device slowed itself: lock the clocks or cool it.",
        ),
        (
            "Temperature",
            "degrees Celsius",
            |row| row.temperature_c,
            "It should be flat from the first row on; a slope means that the heat-soak was too short.",
        ),
        (
            "Power",
            "W",
            |row| row.power_w,
            "Power drawn after each row; at the card's limit the clock gives way.",
        ),
    ];
    let minutes = clock(live);
    let figure = |(title, unit, get, reading): &Sensor| {
        let points: Vec<(f64, f64)> =
            live.iter().filter_map(|row| Some((minutes(row), get(row)?))).collect();
        let plot = Plot::new("minutes since the first row", unit).with(title, Mark::Dots, points);
        (!plot.series.is_empty()).then(|| Figure::new(title, &plot, reading))
    };
    SENSORS.iter().filter_map(figure).collect()
}

/// Predicted against measured values, and the errors over the latency.
pub(super) fn predicted(predictions: &JudgedPredictions) -> Vec<Figure> {
    let unit = &predictions.label.unit;
    let points = &predictions.points;
    let axis = |what: &str| format!("{what}, {unit}");
    let mut plot = Plot::new(&axis("measured"), &axis("predicted")).with(
        "architectures",
        Mark::Dots,
        points.clone(),
    );
    plot.diagonal = true;
    let errors = points.iter().map(|(m, p)| (*m, 100.0 * (p / m - 1.0))).collect();
    let error_plot = Plot::new(&axis("measured"), "error, %")
        .with("architectures", Mark::Dots, errors)
        .level(Some(0.0));
    vec![
        Figure::new(
            "Predicted against measured",
            &plot,
            "One dot per architecture; on the line the prediction is exact.",
        ),
        Figure::new(
            "Error over latency",
            &error_plot,
            "A slope or a bend means that the predictor is wrong in a way that more data of the same kind may not mend; a band as wide as the noise is as good as it gets.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_one_bin() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) * 0.37).collect();
        let (bars, width) = bins(&values);
        assert_eq!(bars.iter().map(|(_, n)| *n as usize).sum::<usize>(), 1000);
        assert!((bars[BINS - 1].0 + width - values[999]).abs() < 1e-9);
        assert_eq!(bins(&[2.0, 2.0]).0.len(), 1);
    }

    #[test]
    fn the_running_median_passes_over_one_disturbed_round_and_follows_a_step() {
        let level = |i: i32| if i == 3 { 50.0 } else { f64::from(i32::from(i >= 10)) };
        let series: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), level(i))).collect();
        let line = running_median(&[series.clone(), series]);
        assert_eq!(line.len(), 20);
        let rounded: Vec<i32> = line.iter().map(|(_, y)| y.round() as i32).collect();
        assert_eq!((&rounded[..9], &rounded[11..]), (&[0; 9][..], &[1; 9][..]));
    }
}
