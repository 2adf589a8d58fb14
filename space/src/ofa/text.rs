//! Once-for-All's text form: the lists of an official configuration.

use super::{DEPTHS, EXPANSIONS, KERNELS, Ofa, RESOLUTION, Stage, resolutions};
use crate::chain::{List, named_lists, quoted};
use crate::{Architecture, DecisionId, Space, SpaceError};

/// `{"d":[..],"ks":[..],"e":[..],"r":[..]}`.
pub(super) fn format(space: &Ofa, architecture: &Architecture) -> String {
    let choice = |d: DecisionId| {
        architecture.choices[d].only().expect("a checked architecture has one choice")
    };
    let depths = space.stages.iter().map(|stage| stage.depth_by(choice));
    let slots = |first: fn(&Stage) -> DecisionId, values: &[u32]| {
        let of_stage = |stage: &Stage| {
            let depth = stage.depth_by(choice);
            let value = |b| (b < depth).then(|| values[choice(first(stage) + b)]);
            (0..stage.n()).map(value).collect::<Vec<_>>()
        };
        list(space.stages.iter().flat_map(of_stage))
    };
    let resolution = resolutions().nth(choice(RESOLUTION));
    format!(
        "{{\"d\":{},\"ks\":{},\"e\":{},\"r\":{}}}",
        list(depths.map(|depth| Some(depth as u32))),
        slots(|stage| stage.kernels.start, &KERNELS),
        slots(|stage| stage.expansions.start, &EXPANSIONS),
        list([resolution]),
    )
}

fn list(values: impl IntoIterator<Item = Option<u32>>) -> String {
    let word = |value: Option<u32>| value.map_or("null".to_owned(), |v| v.to_string());
    format!("[{}]", values.into_iter().map(word).collect::<Vec<_>>().join(","))
}

pub(super) fn parse(space: &Ofa, text: &str) -> Result<Architecture, SpaceError> {
    let reader = Reader { space, lists: Reader::lists(space, text)? };
    let mut choices = vec![0; space.decisions.len()];
    choices[RESOLUTION] = reader.resolution()?;
    let depths = reader.list("d", space.stages.len())?;
    let n_blocks = space.stages.iter().map(Stage::n).sum();
    let kernels = reader.list("ks", n_blocks)?;
    let expansions = reader.list("e", n_blocks)?;
    let mut first = 0;
    for (s, (stage, &depth)) in space.stages.iter().zip(depths).enumerate() {
        let known: Vec<u32> = stage.depths().iter().map(|&depth| depth as u32).collect();
        let choice = reader.choice(&format!("d of stage {}", s + 1), depth, &known)?;
        stage.depth.into_iter().for_each(|d| choices[d] = choice);
        // Numbers for blocks that do not exist are ignored.
        for b in 0..stage.depths()[choice] {
            let named = |list: &str| format!("{list} of block {}", first + b + 1);
            let at = first + b;
            choices[stage.kernels.start + b] =
                reader.choice(&named("ks"), kernels[at], &KERNELS)?;
            choices[stage.expansions.start + b] =
                reader.choice(&named("e"), expansions[at], &EXPANSIONS)?;
        }
        first += stage.n();
    }
    Ok(Architecture::new(space.id(), choices))
}

struct Reader<'a> {
    space: &'a Ofa,
    lists: Vec<(&'a str, List)>,
}

impl<'a> Reader<'a> {
    /// The lists of a text. `wid`, which official texts contain but leave empty, is dropped.
    fn lists(space: &'a Ofa, text: &'a str) -> Result<Vec<(&'a str, List)>, SpaceError> {
        let form = || {
            let stages = space.stages.len();
            format!(
                "lists d ({stages} depths of {}), ks and e (a kernel and an expansion per block, null beyond a stage's depth) and r (a resolution), as in {{\"d\":[2,3,..],\"ks\":[3,5,..],\"e\":[3,4,..],\"r\":[224]}}",
                DEPTHS.map(|d| d.to_string()).join(", ")
            )
        };
        let lists = named_lists(text).map_err(|word| unreadable(space, form(), word))?;
        let is_known = |name: &str| ["d", "ks", "e", "r"].contains(&name);
        let is_empty = |list: &List| list.iter().all(Option::is_none);
        if lists.is_empty() {
            return Err(unreadable(space, form(), text));
        }
        match lists
            .iter()
            .find(|(name, list)| !is_known(name) && (*name != "wid" || !is_empty(list)))
        {
            Some((name, _)) => Err(unreadable(space, form(), name)),
            None => Ok(lists),
        }
    }

    /// The list with this name; it must have `n` numbers.
    fn list(&self, name: &str, n: usize) -> Result<&[Option<u32>], SpaceError> {
        let mut named = self.lists.iter().filter(|(found, _)| *found == name);
        let expected = format!("{n} numbers in one list {name}");
        match (named.next(), named.next()) {
            (Some((_, list)), None) if list.len() == n => Ok(list),
            (Some((_, list)), None) => {
                Err(unreadable(self.space, expected, &format!("{} of them", list.len())))
            }
            (None, _) => Err(unreadable(self.space, expected, "no such list")),
            (_, Some(_)) => Err(unreadable(self.space, expected, "two such lists")),
        }
    }

    /// The choice of the resolution. Without a list it is the skeleton's own, which is the last choice.
    fn resolution(&self) -> Result<usize, SpaceError> {
        let known: Vec<u32> = resolutions().collect();
        if self.lists.iter().all(|(name, _)| *name != "r") {
            return Ok(known.len() - 1);
        }
        let value = self.list("r", 1)?[0];
        let found = || value.map_or("null".to_owned(), |v| v.to_string());
        value.and_then(|v| known.iter().position(|&k| k == v)).ok_or_else(|| {
            let expected = "as r one of 128, 132, ... to 224; a network of another size is one without r at a skeleton of that resolution";
            unreadable(self.space, expected.to_owned(), &found())
        })
    }

    fn choice(&self, what: &str, value: Option<u32>, known: &[u32]) -> Result<usize, SpaceError> {
        let position = value.and_then(|v| known.iter().position(|&k| k == v));
        position.ok_or_else(|| {
            let names = known.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let found = value.map_or("null".to_owned(), |v| v.to_string());
            unreadable(self.space, format!("for {what} one of {names}"), &found)
        })
    }
}

fn unreadable(space: &Ofa, expected: String, found: &str) -> SpaceError {
    SpaceError::Text { space: space.id().to_owned(), expected, found: quoted(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchSpace;

    #[test]
    fn official_configurations_are_read_and_written() {
        let space = Ofa::mobile_net();
        let fives = |n| vec!["5"; n].join(", ");
        let text = format!(
            "{{'wid': None, 'ks': [{}], 'e': [{}], 'd': [2, 2, 2, 2, 2], 'r': [132]}}",
            fives(20),
            vec!["6"; 20].join(", ")
        );
        let architecture = space.parse(&text).unwrap();
        let written = space.format(&architecture);
        assert!(written.starts_with("{\"d\":[2,2,2,2,2],\"ks\":[5,5,null,null,5"), "{written}");
        assert!(written.ends_with("\"r\":[132]}"), "{written}");
        assert_eq!(space.parse(&written), Ok(architecture));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let space = Ofa::mobile_net();
        let good = space.format(&space.at(7));
        let told = |text: String| space.parse(&text).unwrap_err().to_string();
        let error = told(good.replace("\"d\":[2,", "\"d\":[7,"));
        assert!(error.contains("d of stage 1 one of 2, 3, 4") && error.contains("'7'"), "{error}");
        assert!(told(good.replace("\"e\"", "\"f\"")).contains("found 'f'"));
        assert!(told(good.replace("],\"r\"", ",3],\"r\"")).contains("found '21 of them'"));
        let error = told(good.split(",\"r\"").next().unwrap().to_owned() + ",\"r\":[236]}");
        assert!(error.contains("skeleton of that resolution"), "{error}");
        assert!(told("8".to_owned()).contains("lists d"));
        assert!(told(String::new()).contains("lists d"));
    }
}
