//! Tests of the properties that each method's description lists; the numbers are those of the lists in docs/methods.md.

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
