//! `FBNetV2`'s text form: one word for the image's size and one per layer, as in `r288 c16 k3_e0.75_c28 ..`.

use super::{FbNetV2, ID, LAYERS, Layer, RESOLUTION, RESOLUTIONS};
use crate::chain::{quoted, words};
use crate::{Architecture, DecisionId, SpaceError};

pub(super) fn format(space: &FbNetV2, architecture: &Architecture) -> String {
    let choice = |d: DecisionId| {
        architecture.choices[d].only().expect("a checked architecture has one choice")
    };
    let resolution = format!("r{}", RESOLUTIONS[choice(RESOLUTION)]);
    let layers = space.layers.iter().map(|layer| word_of(space, layer, choice));
    std::iter::once(resolution).chain(layers).collect::<Vec<_>>().join(" ")
}

pub(super) fn parse(space: &FbNetV2, text: &str) -> Result<Architecture, SpaceError> {
    let found = words(text);
    let [resolution, layers @ ..] = &found[..] else {
        return Err(unreadable(form(), text));
    };
    if layers.len() != LAYERS {
        return Err(unreadable(form(), text));
    }
    let mut choices = vec![0; space.decisions.len()];
    let is_size = |r: &u32| resolution.strip_prefix('r') == Some(r.to_string().as_str());
    let size = RESOLUTIONS.iter().position(is_size);
    choices[RESOLUTION] = size.ok_or_else(|| unreadable(form(), resolution))?;
    for (layer, word) in space.layers.iter().zip(layers) {
        let told = read(space, layer, word).ok_or_else(|| {
            let last = |d: DecisionId| space.decisions[d].choices.len() - 1;
            let (smallest, largest) = (word_of(space, layer, |_| 0), word_of(space, layer, last));
            let expected = format!("between {smallest} and {largest}, by steps of the table");
            unreadable(expected, word)
        })?;
        for (d, choice) in told {
            choices[d] = choice;
        }
    }
    Ok(Architecture::new(ID, choices))
}

/// The word for a layer.
fn word_of(space: &FbNetV2, layer: &Layer, choice: impl Fn(DecisionId) -> usize) -> String {
    let name = |d: DecisionId| &space.decisions[d].choices[choice(d)].name;
    let width = name(layer.width);
    match layer.block {
        Some((kernel, expansion)) => format!("{}_e{}_c{width}", name(kernel), name(expansion)),
        None => format!("c{width}"),
    }
}

/// The choices that a layer's word stands for.
fn read(space: &FbNetV2, layer: &Layer, word: &str) -> Option<Vec<(DecisionId, usize)>> {
    let find = |d: DecisionId, name: &str| {
        let choices = &space.decisions[d].choices;
        choices.iter().position(|c| c.name == name).map(|choice| (d, choice))
    };
    let parts: Vec<&str> = word.split('_').collect();
    match (layer.block, &parts[..]) {
        (None, [width]) => Some(vec![find(layer.width, width.strip_prefix('c')?)?]),
        (Some((kernel, expansion)), [k, e, width]) => Some(vec![
            find(kernel, k)?,
            find(expansion, e.strip_prefix('e')?)?,
            find(layer.width, width.strip_prefix('c')?)?,
        ]),
        _ => None,
    }
}

/// The text form, worded so that it completes "expected ...".
fn form() -> String {
    let sizes = RESOLUTIONS.map(|r| format!("r{r}")).join(", ");
    let n = LAYERS + 1;
    format!("{n} words: one of {sizes}, then one per layer, as in r288 c16 k3_e0.75_c28 ..")
}

fn unreadable(expected: String, found: &str) -> SpaceError {
    SpaceError::Text { space: ID.into(), expected, found: quoted(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SearchSpace, Space};

    #[test]
    fn texts_have_a_word_per_layer() {
        let space = FbNetV2::new();
        let text = space.format(&space.at(space.size() - 1));
        assert!(text.starts_with("r288 c16 k5_e3.25_c28 "), "{text}");
        let told = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(told("r288 c16").contains("19 words"));
        assert!(told(&text.replace("r288", "r287")).contains("found 'r287'"));
        let error = told(&text.replace("k5_e3.25_c28", "k7_e3.25_c28"));
        assert!(error.contains("between k3_e0.75_c16 and k5_e3.25_c28"), "{error}");
    }
}
