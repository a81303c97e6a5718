//! The journal's disk: full, read-only, of a later build, and a journal that is kept within a bound.
use super::refusals::{edit, nothing_went_out, refused, rig};
use super::*;
use onetape_engine::event::Heartbeat;
use onetape_engine::time::DAY_NS;
use onetape_journal::{Options, Tag, Writer, describe, retention};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// A small file system of its own where a rig's journal is; none where that needs rights that we don't have.
struct Mount(PathBuf);

impl Mount {
    fn over(rig: &Rig, options: &str) -> Option<Self> {
        let path = rig.at("journal");
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(&path)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            println!("skipped: mounting a tmpfs needs root");
            return None;
        }
        Some(Self(path))
    }

    fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        let mut mount = Command::new("mount");
        let mount = mount.args(["-o", &options]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Adds lines to the section [live].
fn with_live(rig: &Rig, lines: &str) {
    edit(rig, "run.toml", |text| {
        text.replacen("[live]\n", &format!("[live]\n{lines}"), 1)
    });
}

fn orders_decided(journal: &Path) -> u64 {
    let mut reader = Reader::open(journal).unwrap();
    let mut decided = 0;
    while let Some(frame) = reader.next().unwrap() {
        decided +=
            u64::from(frame.tag.kind() == onetape_engine::event::Kind::OrderDecided.number());
    }
    decided
}

#[test]
fn a_disk_that_is_read_only_or_full_keeps_the_daemon_from_starting() {
    let rig = rig("");
    let Some(mount) = Mount::over(&rig, "ro") else {
        return;
    };
    let said = refused(&rig, 1);
    for part in [
        "Read-only file system",
        "journal/LOCK",
        "mount it for writing",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    mount.again("rw,size=512k");
    for _ in 0..2 {
        let said = refused(&rig, 1);
        for part in ["no room for a segment", "journal", "make room"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    // With room the same command works.
    mount.again("size=64m");
    with_live(&rig, "min_free_mib = 1\nsegment_mib = 1\n");
    let mut daemon = rig.daemon();
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn a_disk_that_fills_up_ends_the_daemon_in_order_and_it_goes_on_with_room() {
    let rig = Rig::new("9", "60", "");
    rig.configure(&market_makers());
    let Some(mount) = Mount::over(&rig, "size=4m") else {
        return;
    };
    with_live(&rig, "min_free_mib = 0\nsegment_mib = 1\narchive = false\n");
    let journal = rig.at("journal");
    let mut daemon = Process(rig.command().stderr(Stdio::piped()).spawn().unwrap());
    rig.until("it trades", |status| {
        status["positions"]
            .as_object()
            .is_some_and(|held| !held.is_empty())
    });
    let began = Instant::now();
    let status = loop {
        if let Some(status) = daemon.0.try_wait().unwrap() {
            break status;
        }
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "it does not fill"
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut said = String::new();
    let mut stderr = daemon.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    for part in [
        "orders at work stay at their venues",
        "no room for a segment",
        "make room",
    ] {
        // Lines are broken to fit a terminal.
        let text = said
            .split_whitespace()
            .filter(|w| *w != "│")
            .collect::<Vec<_>>();
        assert!(text.join(" ").contains(part), "{part}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    // No order went out whose frame is not on the tape.
    let decided = orders_decided(&journal);
    let sent = rig.truth_now()["orders"].as_u64().unwrap();
    assert!(sent > 0 && sent <= decided, "{sent} of {decided}");

    mount.again("size=256m");
    let mut daemon = rig.daemon();
    rig.until_reconciled();
    rig.until("it trades again", |_| orders_decided(&journal) > decided);
    assert_eq!(daemon.terminate(), Some(0));
    let (_dir, truth) = rig.truth();
    assert_eq!(truth["open_orders"], 0, "{truth}");
    holds_the_truth(&journal, &truth);
}

#[test]
fn a_disk_that_is_nearly_full_halts_new_risk_until_there_is_room() {
    let rig = Rig::new("8", "20", "");
    rig.configure(&market_makers());
    let Some(_mount) = Mount::over(&rig, "size=96m") else {
        return;
    };
    with_live(&rig, "min_free_mib = 32\nsegment_mib = 1\n");
    let journal = rig.at("journal");
    let mut command = rig.command();
    let mut daemon = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(daemon.0.stdout.take().unwrap()).lines();
    let http = lines.by_ref().map(Result::unwrap).find_map(|line| {
        let rest = line.strip_prefix("http://")?;
        Some(rest.split(' ').next()?.to_owned())
    });
    let http = http.unwrap();
    // Whoever reads no more stops the daemon's own lines.
    std::thread::spawn(move || lines.for_each(drop));
    rig.until_reconciled();
    std::fs::write(journal.join("ballast"), vec![1; 70 << 20]).unwrap();
    let halted = |status: &Value| {
        let halts = status["halts"].as_array().into_iter().flatten();
        halts.into_iter().any(|halt| halt == "Disk")
    };
    rig.until("it is halted", halted);
    let told = request(&http, "GET /metrics", "", "");
    let free = told
        .lines()
        .find_map(|l| l.strip_prefix("onetape_disk_free_bytes "));
    let free: u64 = free.unwrap().parse().unwrap();
    assert!(free < 32 << 20, "{free}");
    let health = request(&http, "GET /api/health", "", "");
    for part in ["\"disk_free_bytes\":", "\"journal_bytes\":", "halted: Disk"] {
        assert!(health.contains(part), "{part}: {health}");
    }
    // A daemon that starts again on such a disk is still halted.
    drop(daemon);
    let mut daemon = rig.daemon();
    rig.until("it is halted at its start", halted);
    std::fs::remove_file(journal.join("ballast")).unwrap();
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    let mut reader = Reader::open(&journal).unwrap();
    let (mut is_low, mut changes) = (false, 0);
    let (mut held, mut owners) = (BTreeMap::<_, i64>::new(), BTreeMap::new());
    while let Some(frame) = reader.next().unwrap() {
        match Event::decode(frame.tag.kind(), frame.payload).unwrap() {
            Event::HaltChanged(change) if change.reason == HaltReason::Disk => {
                is_low = change.active;
                changes += 1;
            }
            Event::OrderDecided(order) => {
                let held = held.get(&order.instrument).copied().unwrap_or_default();
                let is_exit = held.signum() == -order.side.sign();
                assert!(is_exit || !is_low, "sequence {}", frame.sequence);
                owners.insert(frame.sequence, (order.instrument, order.side));
            }
            Event::ExecutionReport(report) => {
                if let Some(fill) = report.fill {
                    let (instrument, side) = owners[&report.order.0];
                    *held.entry(instrument).or_default() += side.sign() * fill.qty.0;
                }
            }
            _ => {}
        }
    }
    assert_eq!((is_low, changes), (false, 2));
}

/// CRC32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn a_journal_of_a_later_format_is_refused_by_name() {
    let rig = rig("");
    let journal = rig.at("journal");
    Writer::create(&journal, Options::default())
        .unwrap()
        .close()
        .unwrap();
    let (segment, control) = (
        journal.join("0000000000000000.seg"),
        journal.join("CONTROL"),
    );
    for path in [&segment, &control] {
        let good = std::fs::read(path).unwrap();
        let mut later = good.clone();
        let slots: &[usize] = if path == &segment { &[0] } else { &[0, 4096] };
        for slot in slots {
            later[slot + 8] = 2;
        }
        if path == &segment {
            let crc = crc32c(&later[..4092]).to_le_bytes();
            later[4092..4096].copy_from_slice(&crc);
        }
        std::fs::write(path, &later).unwrap();
        let said = refused(&rig, 4);
        for part in [
            "format version 2",
            "expected 1",
            "the version that wrote it",
        ] {
            let text = said
                .split_whitespace()
                .filter(|w| *w != "│")
                .collect::<Vec<_>>();
            assert!(text.join(" ").contains(part), "{part}: {said}");
        }
        std::fs::write(path, good).unwrap();
    }
    nothing_went_out(rig);
}

/// Market makers on a long tape with a small bound: it goes on trading, dies twice, and is never larger.
#[test]
fn a_bounded_journal_trades_is_killed_and_recovers_from_what_is_left() {
    const MAX_MIB: u64 = 16;
    const HEARTBEATS: u64 = 2_500_000;
    let rig = Rig::new("5", "40", "");
    rig.configure(&market_makers());
    with_live(
        &rig,
        &format!("segment_mib = 1\njournal_max_mib = {MAX_MIB}\n"),
    );
    let journal = rig.at("journal");
    let mut daemon = rig.daemon();
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    // Then nothing for more frames than order paths read again.
    let options = Options {
        segment_bytes: 1 << 20,
        ..Options::default()
    };
    let (mut writer, recovery) = Writer::open(&journal, options).unwrap();
    let mut payload = Vec::new();
    let heartbeat = Event::Heartbeat(Heartbeat {});
    heartbeat.encode(&mut payload);
    let tag = Tag::input(heartbeat.kind().number()).with_step_end(true);
    for beat in 0..HEARTBEATS {
        let at = recovery.last_timestamp_ns + beat;
        writer.append(tag, at, &payload).unwrap();
    }
    writer.close().unwrap();
    let before = retention::bytes(&journal).unwrap();
    assert!(before > (2 * MAX_MIB) << 20, "{before}");

    daemon = rig.daemon();
    rig.until("its oldest frames go", |_| {
        retention::first_sequence(&journal).unwrap() > 1
            && retention::bytes(&journal).unwrap() <= MAX_MIB << 20
    });
    let small = || {
        let bytes = retention::bytes(&journal).unwrap();
        assert!(bytes <= MAX_MIB << 20, "{bytes}");
    };
    let trades = |status: &Value| {
        small();
        status["positions"]
            .as_object()
            .is_some_and(|held| held.len() == 4)
    };
    rig.until("it trades everywhere", trades);
    drop(daemon);
    let first = retention::first_sequence(&journal).unwrap();
    assert!(first > 100_000, "{first}");
    daemon = rig.daemon();
    rig.until_reconciled();
    small();
    let decided = orders_decided(&journal);
    rig.until("it goes on trading", |_| orders_decided(&journal) > decided);
    drop(daemon);
    daemon = rig.daemon();
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    small();
    let first = retention::first_sequence(&journal).unwrap();
    let last = describe(&journal).unwrap().durable_sequence.unwrap();
    assert!(first < last - 1_000_000, "{first} to {last}");

    let dir = arg(&journal);
    let info = json(&["info", dir]);
    assert_eq!(info["begins_at"], first);
    assert_eq!(info["damage"], Value::Null, "{info}");
    // Defined, and their session begun, in frames that are gone.
    assert!(info["instruments"].as_array().unwrap().len() >= 4, "{info}");
    assert_eq!(info["session"]["strategies"].as_array().unwrap().len(), 4);
    assert_eq!(info["kinds"]["instrument"], Value::Null, "{info}");
    assert!(ok(&["info", dir]).contains("what came before was removed"));
    let tail = ok(&["tail", dir, "-n", "3", "--instrument", "binance:BTCUSDT"]);
    assert_eq!(tail.lines().count(), 3, "{tail}");
    ok(&["why", dir, "--last-skipped"]);
    for args in [
        &["verify", dir][..],
        &["backtest", dir, "--strategy", "ema_cross"],
        &["import", "--journal", dir, "facts.toml"],
    ] {
        let said = common::fails(args, 4);
        let text = said
            .split_whitespace()
            .filter(|w| *w != "│")
            .collect::<Vec<_>>();
        let expected = format!("the frames before sequence {first} were removed");
        assert!(text.join(" ").contains(&expected), "{args:?}: {said}");
    }
    let (_dir, truth) = rig.truth();
    assert_eq!(truth["open_orders"], 0, "{truth}");
    has_the_venues_holdings(&journal, &truth);
    // Without a snapshot there is nothing to begin with.
    for entry in std::fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snap") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let said = common::fails(&["recover", dir], 4);
    assert!(said.contains("snapshot"), "{said}");
}

#[test]
fn a_day_begins_a_segment_and_logs_go_to_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, config) = (dir.path().join("journal"), dir.path().join("record.toml"));
    let log = dir.path().join("daemon.log");
    let text = format!(
        "[live]\nhttp = \"127.0.0.1:0\"\nmin_free_mib = 0\nlog_file = {:?}\n",
        arg(&log)
    );
    std::fs::write(&config, text).unwrap();
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    };
    // Three seconds before midnight.
    let midnight = 20_000 * DAY_NS;
    let clock = format!("{},{},1", now(), midnight - 3_000_000_000);
    let args = [
        "record",
        "--journal",
        arg(&journal),
        "--config",
        arg(&config),
        "--clock",
        &clock,
    ];
    for _ in 0..2 {
        let mut command = onetape(&args);
        command.env("RUST_LOG", "info").stdout(Stdio::null());
        let mut daemon = Process(command.spawn().unwrap());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(daemon.terminate(), Some(0));
    }
    let (mut reader, mut days) = (Reader::open(&journal).unwrap(), Vec::new());
    while let Some(frame) = reader.next().unwrap() {
        let day = frame.timestamp_ns / DAY_NS;
        days.push((reader.position().0, day));
    }
    days.dedup();
    assert_eq!(days, [(0, 19_999), (1, 20_000), (2, 20_000)]);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("journal opened"), "{said}");
}
