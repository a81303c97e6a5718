//! A disk that fills up stops the run with a message and loses nothing; with room again the run finishes as if nothing
//! had happened. Needs root, for a small tmpfs of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod common;
use common::{arg, demo_config, fails, generate, json, ok};
use std::path::Path;
use std::process::Command;

struct Mount<'a>(&'a Path);

impl Mount<'_> {
    fn resize(&self, size: &str) -> bool {
        let options = format!("remount,size={size}");
        Command::new("mount")
            .args(["-o", &options])
            .arg(self.0)
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=7m", "none"])
        .arg(&small)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let mount = Mount(&small);
    let day = generate(dir.path(), 41, 100_000, "mixed");
    let (whole, journal, config) = (dir.path().join("whole"), small.join("run"), demo_config());
    ok(&[
        "backtest",
        arg(&day),
        "--config",
        arg(&config),
        "--journal",
        arg(&whole),
    ]);
    let args = [
        "backtest",
        arg(&day),
        "--config",
        arg(&config),
        "--journal",
        arg(&journal),
    ];
    let complaint = fails(&args, 1);
    assert!(complaint.contains("no room"), "{complaint}");
    let recovered = json(&["recover", arg(&journal)]);
    let kept = recovered["summary"]["frames"].as_u64().unwrap();
    assert!(kept > 1_000, "only {kept} frames were kept");
    assert!(mount.resize("64m"));
    ok(&args);
    let (found, expected) = (json(&["info", arg(&journal)]), json(&["info", arg(&whole)]));
    assert_eq!(
        (&found["root_hash"], &found["state_hash"]),
        (&expected["root_hash"], &expected["state_hash"])
    );
}
