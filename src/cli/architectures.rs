//! Reading architectures from flags and files.

use std::path::Path;

use lat::record::{CostPlace, SearchRecord};
use lat_space::{Architecture, SPACES, SearchSpace, find_space};

use super::failure::bad;
use super::records::read_search;

/// An architecture with what its source says of it.
pub(super) struct Named {
    pub(super) space: Box<dyn SearchSpace>,
    pub(super) architecture: Architecture,
    /// The CPU's reference time that the search's measurements go by.
    pub(super) reference_ms: Option<f64>,
    /// Where and how the search's cost was measured.
    pub(super) place: Option<CostPlace>,
}

/// Reads an architecture text, or the result of a search. Where no space is named, the one that reads the text is taken.
pub(super) fn read(text: &str, space: Option<&str>) -> anyhow::Result<Named> {
    let path = Path::new(text);
    if path.extension().is_some_and(|e| e == "json") || path.is_file() {
        let record = read_search(path)?;
        let found = &record.settings.space;
        if let Some(asked) = space.filter(|s| s != found) {
            return Err(bad(format!(
                "expected an architecture of {asked}, found one of {} in {}",
                found,
                path.display()
            )));
        }
        let space = find_space(found)?;
        let architecture = space.parse(&record.architecture)?;
        let SearchRecord { reference_ms, place, .. } = record;
        return Ok(Named { space, architecture, reference_ms, place });
    }
    if let Some(space) = space {
        let space = find_space(space)?;
        let architecture = space.parse(text)?;
        return Ok(Named { space, architecture, reference_ms: None, place: None });
    }
    let spaces = SPACES.iter().map(|build| build());
    let read = |space: Box<dyn SearchSpace>| {
        let architecture = space.parse(text).ok()?;
        Some(Named { space, architecture, reference_ms: None, place: None })
    };
    spaces.into_iter().find_map(read).ok_or_else(|| {
        let known = SPACES.iter().map(|build| build().id().to_owned()).collect::<Vec<_>>().join(", ");
        bad(format!(
            "expected an architecture of one of the spaces {known} or a search.json, found '{}'; name the space with --space to see what is wrong with the text",
            text.chars().take(80).collect::<String>()
        ))
    })
}
