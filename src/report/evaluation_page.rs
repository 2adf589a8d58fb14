//! The page of an evaluation.

use lat_data::PublishedAccuracy;
use lat_space::{SpaceError, find_space};

use super::cell;
use super::entry::Link;
use super::html::{Page, number};
use super::search_page::sentence;
use super::shown::ShownEvaluation;

/// The page of an evaluation, with links to other pages.
///
/// # Errors
/// [`SpaceError`] if the record's space is unknown, or its architecture does not belong to the space.
pub fn evaluation_page(
    evaluation: &ShownEvaluation,
    published: Option<&PublishedAccuracy>,
    links: &[Link],
) -> Result<String, SpaceError> {
    let ShownEvaluation { place, record } = evaluation;
    let of = &record.settings;
    let space = find_space(&of.space)?;
    let architecture = space.parse(&of.architecture)?;
    space.check_skeleton(&of.skeleton)?;
    let mut page = Page::new(&format!("Evaluation on {} with {}", of.space, of.dataset));
    page.links(links);
    let begun = match &of.weights {
        Some(_) => "the weights of an extracted network",
        None => "weights drawn anew",
    };
    page.facts(&[
        ("evaluation", place.name.clone()),
        ("space", of.space.clone()),
        ("data set", of.dataset.clone()),
        ("network", of.skeleton.to_string()),
        ("test accuracy", format!("{:.2} %", record.test_accuracy)),
        ("test loss", number(Some(record.test_loss), "")),
        ("latency of one image", number(record.latency_ms, "ms")),
        ("measured on", record.device_name.clone()),
        ("mode", record.operating_point.map_or(String::new(), |point| point.to_string())),
        ("parameters", record.params.to_string()),
        ("multiply-adds", record.multiply_adds.to_string()),
        ("begun with", begun.to_owned()),
        ("epochs, batch", format!("{}, {}", of.plan.epochs, of.plan.batch)),
        ("learning rate", of.plan.lr.to_string()),
        ("seed", of.seed.to_string()),
        ("took", format!("{:.0} s", record.seconds)),
    ]);
    page.section("The architecture");
    page.code(&of.architecture);
    if let Some(published) = published {
        page.text(&sentence(&published.to_string()));
    }
    cell::add(&mut page, space.as_ref(), &of.skeleton, &architecture);
    Ok(page.finish())
}
