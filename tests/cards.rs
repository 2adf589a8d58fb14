//! What the description of each method says must be true, by its number there.

mod darts;
mod la_darts;
mod pc_darts;
