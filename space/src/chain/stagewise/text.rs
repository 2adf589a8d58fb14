//! The text form of stagewise spaces: an official configuration, or its numbers in a row.

use super::{Gene, StagewiseSpace};
use crate::chain::{named_lists, quoted, words};
use crate::{Architecture, Space, SpaceError};

/// `{"resolution":192,"width":[..],"depth":[..],"kernel_size":[..],"expand_ratio":[..]}`.
pub(super) fn format(space: &StagewiseSpace, architecture: &Architecture) -> String {
    let value = |gene: &&Gene| {
        let choice = gene.decision.map_or(0, |d| {
            architecture.choices[d].only().expect("a checked architecture has one choice")
        });
        gene.values[choice].to_string()
    };
    let list = |(name, genes): (&str, Vec<&Gene>)| {
        let values = genes.iter().map(value).collect::<Vec<_>>().join(",");
        // The resolution is a number, not a list.
        match name {
            "resolution" => format!("\"{name}\":{values}"),
            _ => format!("\"{name}\":[{values}]"),
        }
    };
    format!("{{{}}}", space.genes().into_iter().map(list).collect::<Vec<_>>().join(","))
}

pub(super) fn parse(space: &StagewiseSpace, text: &str) -> Result<Architecture, SpaceError> {
    let found = if text.contains(|c: char| c.is_ascii_alphabetic()) {
        of_lists(space, text)?
    } else {
        of_vector(space, text)?
    };
    let mut choices = vec![0; space.decisions().len()];
    for (name, genes) in space.genes() {
        for (g, gene) in genes.iter().enumerate() {
            let (_, list) = found.iter().find(|(n, _)| *n == name).expect("all lists were found");
            let choice = gene.values.iter().position(|&v| v == list[g]).ok_or_else(|| {
                let known = gene.values.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
                let expected = format!("as number {} of {name} one of {known}", g + 1);
                unreadable(space, expected, &list[g].to_string())
            })?;
            gene.decision.into_iter().for_each(|d| choices[d] = choice);
        }
    }
    Ok(Architecture::new(space.id(), choices))
}

/// Lists of numbers with their names.
type Lists = Vec<(&'static str, Vec<u32>)>;

fn of_lists(space: &StagewiseSpace, text: &str) -> Result<Lists, SpaceError> {
    let lists = named_lists(text).map_err(|word| unreadable(space, form(space), word))?;
    let genes = space.genes();
    let is_known = |name: &str| genes.iter().any(|(known, _)| *known == name);
    if let Some((name, _)) = lists.iter().find(|(name, _)| !is_known(name)) {
        return Err(unreadable(space, form(space), name));
    }
    let list = |(name, own): &(&'static str, Vec<&Gene>)| {
        let mut named = lists.iter().filter(|(found, _)| found == name);
        let numbers = match (named.next(), named.next()) {
            (Some((_, list)), None) => list.iter().copied().collect::<Option<Vec<u32>>>(),
            _ => None,
        };
        let fits = numbers.filter(|numbers| numbers.len() == own.len());
        let expected = || format!("{} numbers in one list {name}", own.len());
        fits.map(|numbers| (*name, numbers)).ok_or_else(|| unreadable(space, expected(), text))
    };
    genes.iter().map(list).collect()
}

fn of_vector(space: &StagewiseSpace, text: &str) -> Result<Lists, SpaceError> {
    let read = |word: &&str| word.parse().map_err(|_| unreadable(space, form(space), word));
    let numbers: Vec<u32> = words(text).iter().map(read).collect::<Result<_, _>>()?;
    let genes = space.genes();
    let n: usize = genes.iter().map(|(_, own)| own.len()).sum();
    if numbers.len() != n {
        return Err(unreadable(space, form(space), text));
    }
    let mut rest = numbers.into_iter();
    Ok(genes.iter().map(|(name, own)| (*name, rest.by_ref().take(own.len()).collect())).collect())
}

/// The text form, worded so that it completes "expected ...".
fn form(space: &StagewiseSpace) -> String {
    let genes = space.genes();
    let lists = genes.iter().map(|(name, own)| format!("{name} ({})", own.len()));
    let n: usize = genes.iter().map(|(_, own)| own.len()).sum();
    let lists = lists.collect::<Vec<_>>().join(", ");
    format!(
        "{n} numbers in a row, or the lists {lists} as in {{\"resolution\":192,\"width\":[..],..}}"
    )
}

fn unreadable(space: &StagewiseSpace, expected: String, found: &str) -> SpaceError {
    SpaceError::Text { space: space.id().to_owned(), expected, found: quoted(found) }
}
