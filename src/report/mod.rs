//! What runs and searches found, as pages for people: one HTML file each, with its style and pictures inside, so that it can be
//! mailed, printed and opened without a network.
//!
//! Everything here turns data into text; nothing is read, written or measured. Pictures are SVG, whose colours follow the
//! page's (light or dark). All text from files is escaped.

mod cell;
mod columns;
mod front;
mod front_page;
mod html;
mod plot;
mod predictions;
mod profile_page;
mod profile_plots;
mod search_page;
mod search_plots;
mod shown;

pub use front::TrueFront;
pub use front_page::front_page;
pub use predictions::JudgedPredictions;
pub use profile_page::{ProfileRun, profile_page};
pub use search_page::search_page;
pub use shown::{ShownEvaluation, ShownSearch};
