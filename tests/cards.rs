//! What the description of each method says must be true, by its number there.

mod darts;
mod dropnas;
mod entrannas;
mod entrannas_dst;
mod fbnetv2;
mod gdas;
mod la_darts;
mod mergenas;
mod p_darts;
mod parsec;
mod paths;
mod pc_darts;
mod pi_nas;
mod proxylessnas;
mod random;
mod snas;
mod subnets;
mod survey;
mod toponas;
