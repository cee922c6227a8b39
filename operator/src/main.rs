//! The operator's program.

use clap::Parser;
use muster_operator::cli::{Command, Options};
use muster_operator::service::logs;
use muster_operator::{generate, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Options::parse().command {
        Command::Run(settings) => {
            logs::install(settings.log_format, &settings.log);
            rustls::crypto::ring::default_provider()
                .install_default()
                .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
            run::run(settings).await
        }
        Command::Generate(request) => generate::run(&request),
    }
}
