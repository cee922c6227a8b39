//! The stage: a world apart from the machine, in which everything passes one gate.

pub(crate) mod apart;
pub(crate) mod door;
pub(crate) mod gate;
pub(crate) mod net;
pub(crate) mod processes;
pub(crate) mod proxy;
