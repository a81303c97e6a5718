//! What is wrong is said in one message, with cause and fix, before any order can go out.
use super::*;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// An exchange, its day short: nothing gets as far as trading.
pub(super) fn rig(faults: &str) -> Rig {
    let rig = Rig::new("8", "20", faults);
    rig.configure(&market_makers());
    rig
}

/// What the daemon says where it must not start, and what it ends with.
pub(super) fn refused(rig: &Rig, code: i32) -> String {
    let piped = (Stdio::piped(), Stdio::piped());
    let mut daemon = rig
        .command()
        .stdout(piped.0)
        .stderr(piped.1)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while daemon.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(120) {
            daemon.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = daemon.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

pub(super) fn edit(rig: &Rig, file: &str, change: impl Fn(&str) -> String) {
    let path = rig.at(file);
    let before = std::fs::read_to_string(&path).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "nothing was changed in {file}");
    std::fs::write(path, after).unwrap();
}

/// Replaces the value of a line NAME="..." or NAME = "...".
fn set(text: &str, name: &str, value: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((found, _)) if found.trim() == name => format!("{found}=\"{value}\""),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

pub(super) fn nothing_went_out(rig: Rig) {
    let (_dir, truth) = rig.truth();
    assert_eq!(truth["orders"], 0, "{truth}");
}

#[test]
fn a_wrong_key_is_refused_by_its_venue_before_anything_is_decided() {
    let rig = rig("");
    let keys = std::fs::read_to_string(rig.at("exchange/exchange.env")).unwrap();
    for (venue, name) in [
        ("binance", "BINANCE_SECRET_KEY"),
        ("kalshi", "KALSHI_API_KEY_ID"),
        ("polymarket", "POLYMARKET_API_PASSPHRASE"),
        ("upbit", "UPBIT_SECRET_KEY"),
    ] {
        edit(&rig, "exchange/exchange.env", |env| set(env, name, "wrong"));
        let said = refused(&rig, 5);
        let expected = format!("{venue}: ");
        assert!(said.contains(&expected), "{said}");
        assert!(said.contains("key"), "{said}");
        assert!(!said.contains("\"wrong\""), "a secret is told: {said}");
        std::fs::write(rig.at("exchange/exchange.env"), &keys).unwrap();
        let _ = std::fs::remove_dir_all(rig.at("journal"));
    }
    nothing_went_out(rig);
}

#[test]
fn keys_that_others_can_read_a_port_in_use_and_a_host_that_is_none_are_named() {
    let rig = rig("");
    let env = rig.at("exchange/exchange.env");
    let readable = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&env, readable(0o644)).unwrap();
    let said = refused(&rig, 3);
    assert!(
        said.contains("exchange.env") && said.contains("chmod 600"),
        "{said}"
    );
    std::fs::set_permissions(&env, readable(0o600)).unwrap();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    edit(&rig, "run.toml", |text| {
        text.replacen("127.0.0.1:0", &address, 1)
    });
    let said = refused(&rig, 1);
    assert!(
        said.contains(&address) && said.contains("could not listen"),
        "{said}"
    );
    edit(&rig, "run.toml", |text| {
        text.replacen(&address, "127.0.0.1:0", 1)
    });

    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    edit(&rig, "run.toml", |text| {
        set(text, "rest", &format!("http://{free}"))
    });
    let said = refused(&rig, 5);
    assert!(
        said.contains("no answer about") && said.contains("address"),
        "{said}"
    );
    nothing_went_out(rig);
}

#[test]
fn a_clock_that_is_off_by_a_minute_is_refused() {
    for skew_ms in ["60000", "-60000"] {
        let rig = rig(&format!("clock_skew_ms = {skew_ms}\n"));
        let said = refused(&rig, 5);
        assert!(
            said.contains("clock is") && said.contains("timedatectl"),
            "{said}"
        );
        nothing_went_out(rig);
    }
}

#[test]
fn a_venue_that_talks_nonsense_is_refused() {
    let rig = rig("");
    let nonsense = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nonsense.local_addr().unwrap();
    std::thread::spawn(move || {
        // As many as the daemon asks: it ends with the test.
        for mut socket in nonsense.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>no</html>");
        }
    });
    edit(&rig, "run.toml", |text| {
        set(text, "rest", &format!("http://{address}"))
    });
    let said = refused(&rig, 5);
    assert!(
        said.contains("binance") && said.contains("BTCUSDT"),
        "{said}"
    );
    nothing_went_out(rig);
}

#[test]
fn what_can_not_be_waited_for_and_a_chat_that_can_not_be_reached_are_named() {
    let rig = rig("");
    let config = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    for (section, line, expected) in [
        ("venues.nws", "awaited = [\"KNYC\"]", "venues.nws.awaited"),
        (
            "venues.upbit",
            "series = [\"KRW\"]",
            "venues.upbit.series: only kalshi has series",
        ),
        (
            "live",
            "telegram = { chat_id = 1 }",
            "live.telegram needs TELEGRAM_BOT_TOKEN",
        ),
        ("live", "relist_every = 1", "relist_every"),
    ] {
        relisting::add(&rig, &[(section, line)]);
        let said = refused(&rig, 3);
        assert!(said.contains(expected), "{said}");
        std::fs::write(rig.at("run.toml"), &config).unwrap();
    }
    std::fs::OpenOptions::new()
        .append(true)
        .open(rig.at("exchange/exchange.env"))
        .unwrap()
        .write_all(b"TELEGRAM_BOT_TOKEN=1:x\n")
        .unwrap();
    let chat = "telegram = { chat_id = 1, address = \"http://example.com\" }";
    relisting::add(&rig, &[("live", chat)]);
    let said = refused(&rig, 3);
    assert!(
        said.contains("without TLS it must be on this machine"),
        "{said}"
    );
    nothing_went_out(rig);
}
