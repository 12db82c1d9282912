//! The command line: reads settings, starts the server, waits for a signal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use sextant::config::{Config, Options};
use sextant::{Error, Server, demo};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A worker's stack: planning recurses with the depth of a statement. Only what is touched is used.
const STACK_BYTES: usize = 32 << 20;

/// SQL on a lake, spoken in the Postgres protocol.
#[derive(Parser)]
#[command(name = "sextant", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a lake to Postgres clients.
    Serve {
        #[command(flatten)]
        options: Options,
        /// TOML file with the same settings as keys
        #[arg(long, env = "SEXTANT_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Load real data, run the pipelines and keep serving.
    Demo {
        #[command(flatten)]
        options: Options,
        /// TOML file with the same settings as keys
        #[arg(long, env = "SEXTANT_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Return when the pipelines have run
        #[arg(long)]
        exit: bool,
        /// Write the time of every request that was measured, as CSV
        #[arg(long, value_name = "FILE")]
        latencies: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let filter = EnvFilter::try_from_env("SEXTANT_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,datafusion=warn,sqlx=warn,tokio_postgres=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sextant: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Help and version go out as they are; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    let help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.use_stderr() && !help {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        eprintln!("sextant: {}", line.trim_start_matches("error: "));
        return ExitCode::from(2);
    }
    let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    match error.print() {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(command: Command) -> Result<(), Error> {
    let (options, file, demo) = match command {
        Command::Serve { options, config } => (options, config, None),
        Command::Demo { options, config, exit, latencies } => {
            (options, config, Some((exit, latencies)))
        }
    };
    let config = Config::load(options, file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One more than asked for: accepting and cancelling go on while all partitions compute.
        .worker_threads(config.threads + 1)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Error::new("58000", format!("cannot start threads: {error}")))?;
    let done = runtime.block_on(async move {
        match demo {
            Some((exit, latencies)) => demo::run(config, exit, latencies.as_deref()).await,
            None => serve(config).await,
        }
    });
    // What still computes for clients that have left is not waited for.
    runtime.shutdown_background();
    done
}

async fn serve(config: Config) -> Result<(), Error> {
    let server = Server::start(config).await?;
    server.wait().await
}
