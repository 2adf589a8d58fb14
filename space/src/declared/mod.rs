//! Spaces that a TOML file declares: decisions, how they act together, and how architectures are written. They are for tables
//! that were measured elsewhere. `lat` can learn to predict such a space, but cannot measure or search it, because it has no
//! networks.
//!
//! ```toml
//! id = "my-space"
//! # How an architecture is written; without it `resolution=224,d0=2,...`, slots that do not exist left out.
//! text = "r{resolution}-{d0}..."
//!
//! [[decision]]
//! name = "resolution"                            # also the table's column
//! values = { from = 128, to = 224, step = 4 }    # numbers; or a list of them
//! scale = true                                   # multiplies the work of all others
//!
//! [[decision]]
//! name = "k{00..19}"              # twenty decisions k00 to k19, both ends included; {i} below is the number
//! values = [3, 5, 7]
//! block = "layer{i}"              # decisions of one block describe one layer together
//! stage = "stage{i/4}"            # blocks of one stage work on maps of one size
//! present = "d{i/4} > {i%4}"      # the slot exists only then; = != < <= > >=, and lists: "kind = conv3, conv5"
//!
//! [[decision]]
//! name = "sequence"
//! number = { from = 1, to = 32768 }   # any number of a range, without a list of choices; tables may have thousands of values
//!
//! [[decision]]
//! name = "op0-1"
//! choices = ["none", "conv"]      # names; at most 32
//! codes = [0, 1]                  # what tables write for them, if not the names
//! class = "op"                    # counted together; else those with the same choices whose names differ in digits only
//! edge = [0, 1]                   # joins two nodes of a small graph; `none` cuts it
//! ```

mod choice_list;
mod condition;
mod declaration;
mod expression;
mod layout;
mod pattern;
mod slot;
mod text_form;

use choice_list::ChoiceList;
use declaration::{Declaration, wrong};
use slot::Slot;
use text_form::{Template, TextForm};

use crate::{
    Architecture, Decision, DecisionId, SPACES, Space, SpaceError, Structure, VARIANTS, choice_of,
    number_of,
};

/// A space declared by a TOML file.
///
/// A slot that does not exist (see [`crate::Presence`]) is not built. Whatever a table or text says about it is ignored: it
/// counts as the slot's first choice, so architectures that differ only there are the same architecture.
#[derive(Debug, Clone)]
pub struct DeclaredSpace {
    id: String,
    source: String,
    decisions: Vec<Decision>,
    lists: Vec<ChoiceList>,
    structure: Structure,
    text_form: TextForm,
}

impl DeclaredSpace {
    /// Reads a declaration; the text is kept and goes into predictor files.
    ///
    /// # Errors
    /// [`SpaceError::Declaration`] names the line, or the decision and its key, with what is expected there.
    pub fn read(toml: &str) -> Result<Self, SpaceError> {
        let declaration = Declaration::read(toml)?;
        check_id(&declaration.id)?;
        Self::of(toml, &declaration)
    }

    /// Reads a declaration that a predictor file keeps. Its id may be that of a space that was built in later, so the id is not
    /// checked.
    ///
    /// # Errors
    /// [`SpaceError::Declaration`], as for [`DeclaredSpace::read`].
    pub fn read_kept(toml: &str) -> Result<Self, SpaceError> {
        Self::of(toml, &Declaration::read(toml)?)
    }

    fn of(toml: &str, declaration: &Declaration) -> Result<Self, SpaceError> {
        let slots = Slot::all(&declaration.entries)?;
        let structure = layout::structure(&slots)?;
        let text_form = TextForm::of(declaration.text.as_ref(), &slots)?;
        let decisions = slots.iter().map(|slot| slot.list.decision(&slot.name));
        Ok(Self {
            decisions: decisions.collect(),
            lists: slots.into_iter().map(|slot| slot.list).collect(),
            id: declaration.id.clone(),
            source: toml.to_owned(),
            structure,
            text_form,
        })
    }

    /// Whether the decision's slot exists, given the choices at all decisions.
    fn exists(&self, decision: DecisionId, choice: impl Fn(DecisionId) -> Option<usize>) -> bool {
        self.structure.presence[decision]
            .as_ref()
            .is_none_or(|p| choice(p.decision).is_some_and(|c| p.choices.contains(&c)))
    }

    /// The architecture with these choices. A choice may be None if its slot does not exist; the error is the first decision
    /// whose choice is missing.
    fn complete(&self, choices: &[Option<usize>]) -> Result<Architecture, DecisionId> {
        let choice = |d: DecisionId| match (self.exists(d, |o| choices[o]), choices[d]) {
            (true, None) => Err(d),
            (true, Some(choice)) => Ok(choice),
            (false, _) => Ok(match self.decisions[d].number {
                Some(range) => choice_of(range.from as f32),
                None => 0,
            }),
        };
        // Decisions that control which slots exist always exist themselves. They are checked first, because without them other
        // slots would seem to be missing.
        let deciding = |d: &DecisionId| self.structure.presence[*d].is_none();
        if let Some(missing) = (0..choices.len()).filter(deciding).find(|&d| choices[d].is_none()) {
            return Err(missing);
        }
        let choices: Vec<usize> = (0..choices.len()).map(choice).collect::<Result<_, _>>()?;
        Ok(Architecture::new(&self.id, choices))
    }

    fn unreadable(&self, expected: String, found: &str) -> SpaceError {
        let found = format!("'{}'", found.chars().take(100).collect::<String>());
        SpaceError::Text { space: self.id.clone(), expected, found }
    }

    /// The piece of the text for each decision.
    fn cells<'a>(&self, text: &'a str) -> Result<Vec<(DecisionId, &'a str)>, SpaceError> {
        match &self.text_form {
            TextForm::Pairs => self.pairs(text),
            TextForm::Template(template @ Template { text: form, .. }) => template
                .split(text)
                .ok_or_else(|| self.unreadable(format!("the form {form}"), text)),
        }
    }

    fn pairs<'a>(&self, text: &'a str) -> Result<Vec<(DecisionId, &'a str)>, SpaceError> {
        let n = self.decisions.len();
        let mut cells: Vec<(DecisionId, &str)> = Vec::with_capacity(n);
        for pair in text.trim().split(',') {
            let (name, cell) = pair.split_once('=').ok_or_else(|| {
                let first = &self.decisions[0];
                let example = format!("{}={}", first.name, first.gate_names()[0]);
                self.unreadable(format!("name=choice,name=choice,... such as {example}"), pair)
            })?;
            // Most texts keep the order of the decisions, so the search begins at the next one.
            let next = cells.last().map_or(0, |last| last.0 + 1);
            let known = (next..n).chain(0..next).find(|&d| self.decisions[d].name == name.trim());
            let decision = known
                .ok_or_else(|| self.unreadable(format!("names of its {n} decisions"), pair))?;
            if decision < next && cells.iter().any(|cell| cell.0 == decision) {
                return Err(self.unreadable("each decision once".to_owned(), pair));
            }
            cells.push((decision, cell));
        }
        Ok(cells)
    }
}

/// Checks that file names can contain the id, and that no built-in space has it.
fn check_id(id: &str) -> Result<(), SpaceError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || !id.chars().all(fits) || id.starts_with('.') {
        let expected = "a name of letters, digits, - and _";
        return Err(wrong("key `id`", expected, format!("'{id}'")));
    }
    if SPACES.iter().chain(VARIANTS).any(|build| build().id() == id) {
        let found = format!("'{id}', which is built in");
        return Err(wrong("key `id`", "a name that no built-in space has", found));
    }
    Ok(())
}

impl Space for DeclaredSpace {
    fn id(&self) -> &str {
        &self.id
    }

    fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn structure(&self) -> Structure {
        self.structure.clone()
    }

    fn declaration(&self) -> Option<&str> {
        Some(&self.source)
    }

    fn find_choice(&self, decision: DecisionId, cell: &str) -> Option<usize> {
        self.lists[decision].find(cell)
    }

    fn architecture(&self, choices: &[Option<usize>]) -> Result<Architecture, DecisionId> {
        self.complete(choices)
    }

    fn check(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        let invalid = |reason| Err(SpaceError::Invalid { space: self.id.clone(), reason });
        let (n, found) = (self.decisions.len(), architecture.choices.len());
        if architecture.space != self.id || found != n {
            let space = &architecture.space;
            return invalid(format!("expected {n} decisions, found {found} of space {space}"));
        }
        let decisions = self.decisions.iter().zip(&architecture.choices);
        let is_one = |(d, set): &(&Decision, &crate::ChoiceSet)| {
            set.only().is_some_and(|choice| match (d.number, number_of(choice)) {
                (Some(_), Some(value)) => value.is_finite(),
                (None, None) => choice < d.choices.len(),
                _ => false,
            })
        };
        match decisions.into_iter().find(|pair| !is_one(pair)) {
            Some((d, _)) => {
                invalid(format!("decision '{}' needs exactly {}", d.name, d.expected()))
            }
            None => Ok(()),
        }
    }

    fn format(&self, architecture: &Architecture) -> String {
        let only = |d: DecisionId| architecture.choices[d].only();
        let name = |d: DecisionId| {
            let choice = only(d).expect("a checked architecture has one choice per decision");
            self.decisions[d].text(choice)
        };
        match &self.text_form {
            TextForm::Template(template) => template.format(name),
            TextForm::Pairs => {
                let existing = (0..self.decisions.len()).filter(|&d| self.exists(d, only));
                let pairs = existing.map(|d| format!("{}={}", self.decisions[d].name, name(d)));
                pairs.collect::<Vec<_>>().join(",")
            }
        }
    }

    fn parse(&self, text: &str) -> Result<Architecture, SpaceError> {
        let mut choices = vec![None; self.decisions.len()];
        let cells = self.cells(text)?;
        for &(d, cell) in &cells {
            choices[d] = self.lists[d].find(cell);
        }
        self.complete(&choices).map_err(|d| {
            let decision = &self.decisions[d];
            let expected = format!("for '{}' {}", decision.name, decision.expected());
            match cells.iter().find(|cell| cell.0 == d) {
                Some((_, cell)) => self.unreadable(expected, cell),
                None => self.unreadable(format!("{expected} in the text"), text),
            }
        })
    }
}

#[cfg(test)]
mod tests;
