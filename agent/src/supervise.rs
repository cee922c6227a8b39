//! A tiny parent process that keeps the agent running.
