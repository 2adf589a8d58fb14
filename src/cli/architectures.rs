//! Reading architectures from flags and files.

use std::path::Path;

use anyhow::Context;
use lat_data::OperatingPoint;
use lat_space::{Architecture, SPACES, SearchSpace, find_space};
use serde::Deserialize;

use super::failure::bad;
use super::texts;

/// What `search.json` says that other commands need.
#[derive(Debug, Deserialize)]
struct SearchFile {
    space: String,
    architecture: String,
    #[serde(default)]
    reference_ms: Option<f64>,
    #[serde(default)]
    operating_point: Option<OperatingPoint>,
}

/// An architecture with what its source says of it.
pub(super) struct Named {
    pub(super) space: Box<dyn SearchSpace>,
    pub(super) architecture: Architecture,
    /// The CPU's reference time that the search's measurements go by.
    pub(super) reference_ms: Option<f64>,
    /// How the networks ran that the search's cost was measured with.
    pub(super) point: Option<OperatingPoint>,
}

/// Reads an architecture text, or the result of a search. Where no space is named, the one that reads the text is taken.
pub(super) fn read(text: &str, space: Option<&str>) -> anyhow::Result<Named> {
    let path = Path::new(text);
    if path.extension().is_some_and(|e| e == "json") || path.is_file() {
        let content = texts::read(path)
            .with_context(|| format!("expected the result of a search at {}", path.display()))?;
        let file: SearchFile = serde_json::from_str(&content).map_err(|e| {
            bad(format!(
                "expected the search.json of a search with its space and architecture at {}, found: {e}",
                path.display()
            ))
        })?;
        if let Some(asked) = space.filter(|s| *s != file.space) {
            return Err(bad(format!(
                "expected an architecture of {asked}, found one of {} in {}",
                file.space,
                path.display()
            )));
        }
        let space = find_space(&file.space)?;
        let architecture = space.parse(&file.architecture)?;
        let (reference_ms, point) = (file.reference_ms, file.operating_point);
        return Ok(Named { space, architecture, reference_ms, point });
    }
    if let Some(space) = space {
        let space = find_space(space)?;
        let architecture = space.parse(text)?;
        return Ok(Named { space, architecture, reference_ms: None, point: None });
    }
    let spaces = SPACES.iter().map(|build| build());
    let read = |space: Box<dyn SearchSpace>| {
        let architecture = space.parse(text).ok()?;
        Some(Named { space, architecture, reference_ms: None, point: None })
    };
    spaces.into_iter().find_map(read).ok_or_else(|| {
        let known = SPACES.iter().map(|build| build().id().to_owned()).collect::<Vec<_>>().join(", ");
        bad(format!(
            "expected an architecture of one of the spaces {known} or a search.json, found '{}'; name the space with --space to see what is wrong with the text",
            text.chars().take(80).collect::<String>()
        ))
    })
}
