//! muster-operator
