//! Search methods: one file each, one row in [`METHODS`].
//!
//! A method owns its loop body ([`Method::step`]), written in the order of its paper. It sees the supernet through gates and the
//! cost through an [`Objective`](crate::objective::Objective), and knows no space.

mod attentivenas;
mod bignas;
mod darts;
mod dropnas;
mod entrannas;
mod entry;
mod fbnet;
mod fbnetv2;
mod gdas;
mod local_search;
mod mergenas;
mod method;
mod ofa;
mod p_darts;
mod parsec;
mod pc_darts;
mod pi_nas;
mod proxylessnas;
mod random;
mod snas;
mod tools;
mod toponas;

pub use crate::batches::Batch;
pub use entry::{MethodEntry, Options, Preset, Schedule};
pub use method::{Batches, Context, Method, StepReport};
pub use tools::core::Core;
pub use tools::derive::{derive, learns};
pub use tools::needs::Need;
pub use tools::stage::Stage;
pub(crate) use tools::weights::GRADIENT_SQUARES;

use crate::error::SearchError;

/// All methods, one row each.
pub const METHODS: &[MethodEntry] = &[
    darts::ENTRY,
    darts::SECOND_ORDER,
    pc_darts::ENTRY,
    gdas::ENTRY,
    snas::ENTRY,
    parsec::ENTRY,
    dropnas::ENTRY,
    proxylessnas::ENTRY,
    p_darts::ENTRY,
    mergenas::ENTRY,
    entrannas::ENTRY,
    entrannas::dst::ENTRY,
    toponas::ENTRY,
    fbnet::ENTRY,
    fbnetv2::ENTRY,
    random::ENTRY,
    local_search::ENTRY,
    bignas::ENTRY,
    attentivenas::ENTRY,
    ofa::ENTRY,
    pi_nas::ENTRY,
];

/// The method with this name.
///
/// # Errors
/// [`SearchError::Unknown`], which lists the methods, if there is none.
pub fn find_method(name: &str) -> Result<&'static MethodEntry, SearchError> {
    METHODS.iter().find(|m| m.name == name).ok_or_else(|| SearchError::Unknown {
        kind: "method",
        name: name.to_owned(),
        known: METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", "),
    })
}
