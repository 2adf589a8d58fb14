//! All integration tests as one program: this needs one link step instead of one per file.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and bitwise equality is what many of them are about"
)]

// The properties that each method's description lists, one test per number of its list.
mod cards;
// The command line as scripts use it.
mod cli;
// Contracts of every space, method and probe: loops over the tables that name no member.
mod contracts;
// Kills, full disks, damage: committed rows are kept, and damaged files are named.
mod crash;
// Sites that are cut down, picks and sizes: prices, shapes, results.
mod elastic;
// Networks cut out of supernets: their results, and their files.
mod extractions;
// Predictors in other programs.
mod exports;
// Tests that need a GPU.
mod gpu;
// The documents: their commands run, their links lead somewhere.
mod guides;
// Steps of searches, timed.
mod bench;
// Image sets that are part of the program.
mod image_sets;
// Instruments for the user's own machine or network.
mod instruments;
// Latency tables of blocks in the forms that others publish.
mod latency_tables;
// Kernels of our own in whole supernets.
mod kernels;
// Which crate may depend on which: manifests and sources compared with ARCHITECTURE.md.
mod layers;
// Layers and networks compared with results of PyTorch.
mod parity;
// Tables of single operations.
mod per_op;
// Searches that several processes share.
mod ranks;
// Pages as a browser shows them.
mod browser;
// Pages and comparisons of runs.
mod reports;
// The logs that a search leaves beside its result.
mod search_logs;
// One run on several devices and machines.
mod shards;
// The script for SLURM, if SLURM is installed.
mod slurm;
// Weights from stage to stage of a search.
mod stages;
// Predictors of a new device from those of others.
mod transfers;
// Spaces that files declare, and tables measured elsewhere.
mod space_files;
// Profiles that choose their samples.
mod until;

// Weights computed from their names and shapes, for parity and other tests that need arbitrary but fixed weights.
mod formula;
// libtorch's threads, GPUs and random numbers, which all tests share.
mod setup;
// Small things that tests share: skeleton, images, searches, costs.
mod toy;
// A space with one right answer, and images for which it is right.
mod planted_space;
// Measures the cost of masks.
mod mask_bench;
// A space of two convolutions whose widths are searched.
mod mask_space;
// A space with everything elastic.
mod stretch_space;
// A stand-in for the supernet with a known loss.
mod toy_net;
// A space of twelve architectures.
mod toy_space;
