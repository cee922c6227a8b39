//! Putting this very executable where the other containers of the pod can run it.
