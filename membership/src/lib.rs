//! muster-membership
