//! The operator's program.

use clap::Parser;
use muster_operator::cli::{Arguments, Task};
use muster_operator::{generate, logs, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Task::Run(settings) => {
            logs::install(settings.log_format, &settings.log);
            rustls::crypto::ring::default_provider()
                .install_default()
                .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
            run::run(settings).await
        }
        Task::Generate(request) => generate::run(&request),
    }
}
