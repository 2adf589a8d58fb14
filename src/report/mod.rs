//! Results of runs and searches as pages: one HTML file each, which contains its style and pictures, so that it can be mailed,
//! printed and opened without a network.
//!
//! Everything here turns data into text; nothing is read, written or measured. Pictures are SVG, and their colours follow the page's
//! (light or dark). All text from files is escaped.

mod cell;
mod columns;
mod entry;
mod evaluation_page;
mod front;
mod front_section;
mod front_table;
mod html;
mod index_page;
mod plot;
mod predictions;
mod predictor_page;
mod profile_page;
mod profile_plots;
mod search_page;
mod search_plots;
mod shown;

pub use entry::Link;
pub use evaluation_page::evaluation_page;
pub use front::TrueFront;

pub use index_page::{Index, index_page};
pub use predictions::JudgedPredictions;
pub use predictor_page::predictor_page;
pub use profile_page::{ProfileRun, profile_page};
pub use search_page::search_page;
pub use shown::{Place, ShownEvaluation, ShownPredictor, ShownProfile, ShownSearch};
