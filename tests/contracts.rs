//! What every space, every method and every probe keeps, whoever adds it: loops over `SPACES`, `METHODS` and `PROBES`.

mod evaluations;
mod finalists;
mod gaps;
mod methods;
mod planted;
mod probes;
mod searches;
mod spaces;
mod supernets;
