//! All integration tests, one program: one link instead of one per file.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and bitwise equality is what many of them are about"
)]

// What each method's description says must be true, a test per number of its list.
mod cards;
// The command line as scripts see it.
mod cli;
// What every space, method and probe keeps: loops over the tables, no member named.
mod contracts;
// Kills, full disks, damage: what is committed stays, and what is damaged is named.
mod crash;
// Sites that are cut down, picks and sizes: prices, shapes, what is computed.
mod elastic;
// Networks cut out of supernets: what they compute, and as files.
mod extractions;
// Predictors in other programs.
mod exports;
// What only a GPU can show.
mod gpu;
// The pages for people: their commands run, their links lead somewhere.
mod guides;
// Image sets that are part of the program.
mod image_sets;
// Instruments for a machine or network of one's own.
mod instruments;
// Latency tables of blocks in the forms that others read.
mod latency_tables;
// Kernels of our own in whole supernets.
mod kernels;
// Which crate may know which: manifests and sources against ARCHITECTURE.md.
mod layers;
// Layers and networks against what PyTorch computed.
mod parity;
// Tables of single operations.
mod per_op;
// Searches that several processes share.
mod ranks;
// Pages as a browser shows them.
mod browser;
// Pages and comparisons of runs.
mod reports;
// What a search leaves beside its result.
mod search_logs;
// One run on several devices and machines.
mod shards;
// The recipe for SLURM, where there is one.
mod slurm;
// Weights from stage to stage of a search.
mod stages;
// Predictors of a new device from those of others.
mod transfers;
// Spaces that files declare, and tables measured elsewhere.
mod space_files;
// Profiles that choose their samples.
mod until;

// Weights as a function of their names, for parity and wherever a test wants weights that are not special.
mod formula;
// libtorch's threads, GPUs and random numbers, which all tests share.
mod setup;
// Small things that tests share: skeleton, images, searches, costs.
mod toy;
// A space with one right answer, and images that make it so.
mod planted_space;
// What masks cost: a measurement.
mod mask_bench;
// A space of two convolutions whose widths are searched.
mod mask_space;
// A space of everything that stretches.
mod stretch_space;
// A stand-in for the supernet with a known loss.
mod toy_net;
// A space of twelve architectures.
mod toy_space;
