//! Shows the progress of a predictor's training on the screen.

use indicatif::ProgressBar;
use lat_predictor::{FitEvent, Progress};

use super::output::{Screen, step_to, style_of_steps, style_of_work};

/// Runs work that fits regressors. A line says which regressor is being fitted; while a network trains, a bar shows its steps.
pub(super) fn shown<T>(screen: Screen, fit: impl FnOnce(&Progress) -> T) -> T {
    let bar = screen.working("fitting");
    let found = fit(&progress(bar.clone()));
    bar.finish_and_clear();
    found
}

/// Turns training events into updates of the bar.
fn progress(bar: ProgressBar) -> Progress {
    Progress::to(move |event| match event {
        FitEvent::Regressor(name, number, n) => {
            bar.unset_length();
            bar.set_style(style_of_work("fitting"));
            bar.set_message(format!("{name}, {number} of {n}"));
        }
        FitEvent::Step(done, all) => {
            if bar.length().is_none() {
                bar.set_style(style_of_steps("steps"));
                step_to(&bar, 0, all);
            }
            bar.set_position(done);
        }
    })
}

#[cfg(test)]
mod tests {
    use lat_predictor::{RegressorChoice, Samples, TrainOptions, train_watched};
    use lat_space::{architecture_at, find_space};

    use super::*;

    #[test]
    fn every_regressor_and_the_steps_of_the_last_are_told() {
        let space = find_space("nasbench201").unwrap();
        let rows: Vec<_> = (0..260)
            .map(|i| {
                let architecture = architecture_at(space.as_ref(), 0, i).unwrap();
                // A term of two edges together, which no sum over edges explains.
                let gates = architecture.gates(space.decisions());
                (architecture, 1.0 + 3.0 * f64::from(gates[0] * gates[6]) + f64::from(gates[12]))
            })
            .collect();
        let samples =
            Samples::of(space.as_ref(), rows.iter().map(|(a, value)| (a, *value))).unwrap();
        let none = Samples::of(space.as_ref(), std::iter::empty()).unwrap();
        let options = TrainOptions { choice: RegressorChoice::Auto, compare: false, seed: 0 };
        let seen = std::sync::Arc::new(std::sync::Mutex::new((Vec::new(), 0)));
        let told = std::sync::Arc::clone(&seen);
        let progress = Progress::to(move |event| match event {
            FitEvent::Regressor(name, number, n) => {
                told.lock().unwrap().0.push((name.to_owned(), number, n));
            }
            FitEvent::Step(done, all) => {
                assert!(done <= all);
                told.lock().unwrap().1 += 1;
            }
        });
        let with = train_watched(space.as_ref(), &samples, &none, &options, &progress).unwrap();
        let without = lat_predictor::train(space.as_ref(), &samples, &none, &options).unwrap();
        assert_eq!(with.reason, without.reason, "being told changes nothing");
        let (regressors, n_steps) = std::mem::take(&mut *seen.lock().unwrap());
        let numbers: Vec<_> = regressors.iter().map(|r| (r.1, r.2)).collect();
        assert_eq!(numbers, [(1, 3), (2, 3), (3, 3)]);
        assert!(n_steps > 100, "{n_steps} steps");
    }
}
