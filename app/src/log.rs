//! Where logs go: to standard error, or to files whose number and size are bounded.
use crate::failure::{Exit, Failure};
use onetape_live::config::DaemonConfig;
use rolling_file::{RollingConditionBasic, RollingFileAppender};
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Logs go to standard error.
pub(crate) fn to_stderr(json: bool) {
    start(json, std::io::stderr);
}

/// Logs go where a daemon's configuration says.
pub(crate) fn of_daemon(live: &DaemonConfig, json: bool) -> Result<(), Failure> {
    let Some(path) = &live.log_file else {
        to_stderr(json);
        return Ok(());
    };
    start(json, Mutex::new(rolling(path, live)?));
    Ok(())
}

/// A file that is renamed to NAME.1 when it is full, as NAME.1 is to NAME.2 and so on; the last one goes.
fn rolling(
    path: &Path,
    live: &DaemonConfig,
) -> Result<RollingFileAppender<RollingConditionBasic>, Failure> {
    let config = |why: String| Err(Failure::new(Exit::Config, why));
    if !(1..=65_536).contains(&live.log_max_mib) {
        return config(format!(
            "log_max_mib is {}: it must be 1 to 65536",
            live.log_max_mib
        ));
    }
    if !(2..=1_000).contains(&live.log_files) {
        return config(format!(
            "log_files is {}: it must be 2 to 1000, the one being written included",
            live.log_files
        ));
    }
    let full = RollingConditionBasic::new().max_size(live.log_max_mib << 20);
    // Unbuffered: what was logged is there when the process dies.
    let file = RollingFileAppender::new_with_buffer_capacity(path, full, live.log_files - 1, 0);
    file.map_err(|e| {
        let why = format!("log_file in [live]: could not open {}: {e}", path.display());
        Failure::new(Exit::Config, why)
            .help("name a file in a directory that is there and can be written")
    })
}

/// RUST_LOG chooses, and from "info" up is what an operator needs.
fn start<W>(json: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // A second call in one process changes nothing.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_takes_no_more_than_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let live = DaemonConfig {
            log_max_mib: 1,
            log_files: 3,
            ..DaemonConfig::default()
        };
        let line = [b'x'; 1_000];
        for _ in 0..2 {
            // A daemon that starts again goes on in the same files.
            let mut log = rolling(&path, &live).unwrap();
            for number in 0..5_000u32 {
                log.write_all(&line).unwrap();
                writeln!(log, " {number}").unwrap();
            }
        }
        let sizes: Vec<u64> = ["daemon.log", "daemon.log.1", "daemon.log.2"]
            .map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len())
            .into();
        assert!(
            sizes.iter().all(|size| *size <= (1 << 20) + 1_100),
            "{sizes:?}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        let newest = std::fs::read(&path).unwrap();
        assert!(newest.ends_with(b"x 4999\n"));
    }

    #[test]
    fn a_bound_that_is_none_and_a_directory_that_is_not_there_are_named() {
        let bad = |log_max_mib, log_files, path: &str| {
            let live = DaemonConfig {
                log_max_mib,
                log_files,
                ..DaemonConfig::default()
            };
            rolling(Path::new(path), &live).unwrap_err().to_string()
        };
        assert!(bad(0, 7, "x").starts_with("log_max_mib is 0"));
        assert!(bad(100, 1, "x").starts_with("log_files is 1"));
        assert!(bad(100, 7, "/nowhere/x").contains("could not open /nowhere/x"));
    }
}
