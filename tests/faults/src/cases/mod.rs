//! The cases: every step of every story, and every fault at that step.

pub(crate) mod fault;
mod large;
pub(crate) mod matrix;
pub(crate) mod play;
pub(crate) mod seam;
pub(crate) mod step;
pub(crate) mod story;
pub(crate) mod table;
