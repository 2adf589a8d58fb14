//! Reading architectures from flags and files.

use std::path::Path;

use lat::record::{CostPlace, SearchRecord};
use lat_space::{Architecture, SPACES, SearchSpace, find_space};

use super::failure::bad;
use super::records::read_search;
use super::texts;

/// An architecture with the details that its source gives.
pub(super) struct Named {
    pub(super) space: Box<dyn SearchSpace>,
    pub(super) architecture: Architecture,
    /// The CPU's reference time that the search's measurements are based on, in milliseconds.
    pub(super) reference_ms: Option<f64>,
    /// Where and how the search's cost was measured.
    pub(super) place: Option<CostPlace>,
}

/// Reads an architecture text, a file that holds one, or the result of a search. If no space is given, takes the one that can read the
/// text.
pub(super) fn read(text: &str, space: Option<&str>) -> anyhow::Result<Named> {
    let path = Path::new(text);
    let in_file = if path.is_file() { Some(texts::read(path)?) } else { None };
    // Files of any name may hold an architecture text. So may JSON files: genotypes are saved as JSON too.
    let is_named = path.file_name().is_some_and(|name| name == "search.json");
    let is_text = in_file.as_ref().is_some_and(|text| !is_named && !is_record(text));
    if !is_text && (path.extension().is_some_and(|e| e == "json") || in_file.is_some()) {
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
    let text = in_file.as_deref().unwrap_or(text).trim();
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

/// Whether a file's text is a JSON object that names its architecture, as `search.json` does. Genotypes are also saved as JSON, so JSON
/// alone does not tell.
fn is_record(text: &str) -> bool {
    let value = serde_json::from_str::<serde_json::Value>(text);
    match value {
        Ok(value) => value.get("architecture").is_some() || value.get("method").is_some(),
        // A truncated record still counts as a record: the code that reads it reports what is wrong.
        Err(_) => text.trim_start().starts_with('{') && text.contains("\"architecture\""),
    }
}
