//! `ribwatch run`: the daemon. SIGHUP reloads the file, SIGTERM and SIGINT end it in order.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::{
    app::{Daemon, init_logging},
    config::Config,
    io::service::ServiceManager,
};

/// How often the daemon looks whether its engine still runs.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How often the service manager is told in words how it goes.
const STATUS_EVERY: Duration = Duration::from_secs(10);

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
    let manager = ServiceManager::from_environment();
    manager.ready(&daemon.status());
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = attend(&daemon, &manager) => ended,
            never = live(&manager, async || daemon.answers().await, || daemon.status()) => match never {},
        }
    });
    manager.stopping();
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
async fn attend(daemon: &Daemon, manager: &ServiceManager) -> Result<(), String> {
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
            _ = reload.recv() => {
                manager.reloading();
                daemon.reload_file();
                manager.ready(&daemon.status());
            }
            _ = look.tick() => if !daemon.is_alive() {
                return Err("the engine ended by a fault of ribwatch; please report the lines above".to_owned());
            },
        }
    }
    info!("told to end; saying goodbye to the neighbors");
    Ok(())
}

/// Tells the service manager that we live, each time that `answers` says so: as long as it does not, it hears nothing.
async fn live(
    manager: &ServiceManager,
    answers: impl AsyncFn(),
    status: impl Fn() -> String,
) -> std::convert::Infallible {
    if !manager.is_there() {
        return std::future::pending().await;
    }
    let every = manager.beat().unwrap_or(STATUS_EVERY);
    let mut beat = tokio::time::interval(every);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = tokio::time::Instant::now();
    loop {
        beat.tick().await;
        sign_of_life(manager, &answers).await;
        if told.elapsed() >= STATUS_EVERY {
            told = tokio::time::Instant::now();
            manager.status(&status());
        }
    }
}

/// Once all who must work have answered, and never before.
async fn sign_of_life(manager: &ServiceManager, answers: &impl AsyncFn()) {
    answers().await;
    if manager.beat().is_some() {
        manager.alive();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::net::UnixDatagram};

    use super::*;

    #[tokio::test]
    async fn the_watchdog_hears_nothing_while_the_engine_is_stuck() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let listening = UnixDatagram::bind(&place).unwrap();
        listening.set_nonblocking(true).unwrap();
        let manager = ServiceManager::new(Some(place.as_os_str()), Some(Duration::from_secs(60)));
        let told = || {
            let mut octets = [0; 100];
            let length = listening.recv(&mut octets).ok()?;
            Some(String::from_utf8(octets[..length].to_vec()).unwrap())
        };
        let (stuck, freed) = (Cell::new(true), tokio::sync::Notify::new());
        let answers = async || {
            while stuck.get() {
                freed.notified().await;
            }
        };
        let mut sign = std::pin::pin!(sign_of_life(&manager, &answers));
        for _ in 0..3 {
            tokio::select! {
                biased;
                () = &mut sign => panic!("the engine has not answered"),
                () = tokio::task::yield_now() => assert_eq!(told(), None),
            }
        }
        stuck.set(false);
        freed.notify_one();
        sign.await;
        assert_eq!((told().as_deref(), told()), (Some("WATCHDOG=1"), None));
    }
}
