//! Errors: wrong names of spaces, wrong architectures and wrong texts.

/// An error with a space's name, an architecture or its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A name that is in no table.
    #[error("unknown {kind} '{name}'; expected one of: {known}")]
    Unknown {
        /// The kind of thing looked up, such as a space.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },
    /// The file of a declared space, given where networks are needed.
    #[error(
        "expected the name of a built-in space, found the file {0}: a declared space has no networks to measure, count or search; lat train --space-file {0} --data TABLE learns from a table of its architectures, and lat predict prices them"
    )]
    NoNetworks(String),
    /// A text that is no architecture of the space.
    #[error("not an architecture of {space}: expected {expected}, found {found}")]
    Text {
        /// The space's id.
        space: String,
        /// The form expected.
        expected: String,
        /// The piece of text found.
        found: String,
    },
    /// An architecture whose choices the space does not allow.
    #[error("invalid architecture of {space}: {reason}")]
    Invalid {
        /// The space's id.
        space: String,
        /// Which decision is wrong and how.
        reason: String,
    },
    /// A skeleton that cannot be built.
    #[error("invalid skeleton: {reason}")]
    Skeleton {
        /// Which value is wrong and what is allowed.
        reason: String,
    },
    /// A space file that declares no space.
    #[error("{place}: expected {expected}; found {found}")]
    Declaration {
        /// Where in the file: a line, or a decision and its key.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An operation that a form of published latency tables has no name for.
    #[error(
        "a latency table in {form}'s form has no row for {key}: such tables hold the papers' blocks, at widths whose expansions are \
         whole numbers"
    )]
    NoRow {
        /// Name of the form.
        form: &'static str,
        /// Key of the operation and its place, see [`crate::OpSpec::key`].
        key: String,
    },
    /// More distinct architectures were asked for than the space has.
    #[error(
        "expected at most {size} samples, since {space} has {size} architectures; found {asked}"
    )]
    TooMany {
        /// The space's id.
        space: String,
        /// How many the space has.
        size: u128,
        /// How many were asked for.
        asked: u64,
    },
}
