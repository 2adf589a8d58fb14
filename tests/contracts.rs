//! Contracts that every space, method and probe must fulfil, new ones too: loops over `SPACES`, `METHODS` and `PROBES`.

mod evaluations;
mod finalists;
mod gaps;
mod methods;
mod planted;
mod probes;
mod searches;
mod spaces;
mod supernets;
