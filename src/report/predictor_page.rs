//! The page of a predictor.

use super::entry::Link;
use super::html::{Page, number};
use super::predictions::JudgedPredictions;
use super::profile_page::judged_on;
use super::profile_plots::predicted;
use super::shown::ShownPredictor;

/// The page of a predictor, with links to other pages. Includes its judgement on the run that it was trained on, if that run is
/// available.
pub fn predictor_page(
    predictor: &ShownPredictor,
    predictions: Option<&JudgedPredictions>,
    links: &[Link],
) -> String {
    let ShownPredictor { place, label } = predictor;
    let device = label.device_name.as_deref().unwrap_or("an unnamed device");
    let mut page = Page::new(&format!("{} of {} on {device}", label.column, label.space));
    page.links(links);
    let errors = label.errors.as_ref();
    page.facts(&[
        ("predictor", place.name.clone()),
        ("space", label.space.clone()),
        ("target", format!("{}, {}", label.column, label.unit)),
        ("batch", label.batch.map_or(String::new(), |batch| batch.to_string())),
        ("skeleton", label.skeleton.map_or(String::new(), |skeleton| skeleton.to_string())),
        ("mode", label.point.map_or(String::new(), |point| point.to_string())),
        ("learnt from predictors of", label.sources.join(", ")),
        ("regressor", label.regressor.clone()),
        ("encoding", label.encoding.clone()),
        ("trained on", format!("{} rows, seed {}", label.n_train, label.seed)),
        ("tested on", errors.map_or(String::new(), |e| format!("{} rows", e.n))),
        ("MAPE", errors.map_or(String::new(), |e| number(Some(e.mape), "%"))),
        (
            "within 5 %, 10 %",
            errors.map_or(String::new(), |e| {
                format!("{:.1} %, {:.1} % of them", e.within_5, e.within_10)
            }),
        ),
        (
            "Kendall, Spearman",
            errors.map_or(String::new(), |e| format!("{:.3}, {:.3}", e.kendall, e.spearman)),
        ),
        ("noise floor", label.noise_floor.map_or(String::new(), |n| format!("{n:.2} % MAPE"))),
        ("made by", format!("lat {}", label.lat_version)),
    ]);
    match predictions {
        Some(predictions) => {
            page.section("Predicted against measured");
            let errors = &predictions.errors;
            page.text(&format!(
                "Judged on {}: {:.2} % mean error.",
                judged_on(predictions),
                errors.mape
            ));
            page.figures(&predicted(predictions));
        }
        None => page.text(
            "The measurements that it was trained on are not at hand, so there is no picture of its errors.",
        ),
    }
    page.finish()
}
