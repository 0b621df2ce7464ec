//! The simulated Zendesk as a program: one line of JSON on stdout says where it is and how to sign in.
use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use zendesk_sim::{Options, Settings, Sim};

/// A stateful simulated Zendesk.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: Settings,
    /// JSON file with any of the settings, and faults
    #[arg(long)]
    config: Option<PathBuf>,
    /// Also write the first line to this file, once ready
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// End when standard input ends, so as not to outlive the parent
    #[arg(long)]
    exit_with_stdin: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            let _ = writeln!(std::io::stderr(), "zendesk-sim: {words}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let mut settings = args.settings;
    if let Some(path) = &args.config {
        settings = settings.over(Settings::from_file(path)?);
    }
    let sim = Sim::start(Options::try_from(settings)?).await.map_err(|e| e.to_string())?;
    let line = format!("{}\n", sim.about);
    let mut out = std::io::stdout();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    if let Some(path) = &args.ready_file {
        std::fs::write(path, &line).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let mut terminated = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        () = stdin_end(), if args.exit_with_stdin => {}
    }
    sim.stop();
    // Reading standard input blocks a thread that the runtime would wait for.
    std::process::exit(0)
}

async fn stdin_end() {
    let mut input = tokio::io::stdin();
    let mut buffer = [0_u8; 256];
    while matches!(input.read(&mut buffer).await, Ok(n) if n > 0) {}
}
