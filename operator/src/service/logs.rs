//! Log lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::cli::LogStyle;

/// Sends log lines to standard error.
pub fn install(format: LogStyle, directives: &str) {
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match format {
        LogStyle::Text => builder.with_ansi(false).init(),
        LogStyle::Json => builder.json().flatten_event(true).init(),
    }
}
