//! The volume of a seat.
