//! `ribwatch run`: the daemon. SIGHUP reloads the file, SIGTERM and SIGINT end it in order.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::{
    app::{Daemon, init_logging},
    config::Config,
};

/// How often the daemon looks whether its engine still runs.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Arguments of `ribwatch run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The configuration to run with
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs until a signal ends it: exit code 0, or 2 for a faulty configuration, 1 when it cannot start.
pub fn run(args: &RunArgs) -> ExitCode {
    let config = match Config::load_and_test(&args.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    init_logging(&config.log);
    let started = Daemon::start_with_file(config, args.config.clone()).and_then(|daemon| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok((daemon, runtime.map_err(|error| format!("signals cannot be waited for: {error}"))?))
    });
    let (daemon, runtime) = match started {
        Ok(started) => started,
        Err(why) => {
            error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(attend(&daemon));
    daemon.stop();
    match ended {
        Ok(()) => {
            info!("ended in order");
            ExitCode::SUCCESS
        }
        Err(why) => {
            error!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for signals; returns when it is time to end.
async fn attend(daemon: &Daemon) -> Result<(), String> {
    let watch_for = |kind: SignalKind| -> Result<Signal, String> {
        signal(kind).map_err(|error| format!("signals cannot be waited for: {error}"))
    };
    let mut terminate = watch_for(SignalKind::terminate())?;
    let mut interrupt = watch_for(SignalKind::interrupt())?;
    let mut reload = watch_for(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK_AFTER);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => daemon.reload_file(),
            _ = look.tick() => if !daemon.is_alive() {
                return Err("the engine ended by a fault of ribwatch; please report the lines above".to_owned());
            },
        }
    }
    info!("told to end; saying goodbye to the neighbors");
    Ok(())
}
