//! Which markets of two venues may ask the same question: suggestions for a person to read, never approvals (requirements,
//! five systems, 2.3 and 2.5).
//!
//! - [`market`]: market lists as venues tell them.
//! - [`text`]: what of a text is compared: terms, figures, dates.
//! - [`score`]: how alike two texts are.
//! - [`direction`]: whether one asks the opposite of the other.
//! - [`suggest`]: pairs that are alike enough, with every doubt there is.
//! - [`draft`]: the same as a file to be filled in, which no importer takes as it is.
//!
//! Nothing here reads a file or trades. Floats are fine: what comes out is rounded to 1e-4 and read by a person.
mod direction;
mod draft;
mod market;
mod score;
mod suggest;
mod text;

pub use direction::Direction;
pub use draft::draft;
pub use market::{Market, Unreadable, read};
pub use score::{Score, score};
pub use suggest::{Options, Report, Suggestion, suggest};
