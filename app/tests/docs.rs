//! The console examples of the documentation are what the binary prints. `ONETAPE_UPDATE_DOCS=1` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod common;
use std::path::Path;
use std::process::Command;

/// Runs every `$ onetape ...` of a page's console blocks in one directory; a command with lines after it must print them.
fn examples(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        root.canonicalize().unwrap().join("examples"),
        dir.path().join("examples"),
    )
    .unwrap();
    let (mut renewed, mut lines, mut inside) = (String::new(), text.lines().peekable(), false);
    let mut commands = 0;
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        let Some(command) = line.strip_prefix("$ onetape ").filter(|_| inside) else {
            continue;
        };
        commands += 1;
        let args: Vec<&str> = command.split_whitespace().collect();
        let output = Command::new(env!("CARGO_BIN_EXE_onetape"))
            .args(&args)
            .current_dir(dir.path())
            .output()
            .expect("the binary starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {complaint}");
        let is_shown = lines
            .peek()
            .is_some_and(|next| !next.starts_with("$ ") && !next.starts_with("```"));
        if is_shown {
            while lines
                .next_if(|next| !next.starts_with("$ ") && !next.starts_with("```"))
                .is_some()
            {}
            renewed.push_str(&String::from_utf8_lossy(&output.stdout));
        }
    }
    assert!(commands > 0, "{page} has no examples");
    if std::env::var_os("ONETAPE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &renewed).unwrap();
    }
    assert!(
        renewed == text || std::env::var_os("ONETAPE_UPDATE_DOCS").is_some(),
        "docs/{page} shows other output than the binary prints; ONETAPE_UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn why_is_documented_with_what_it_prints() {
    examples("why.md");
}

/// The sources under a directory, one after the other.
fn sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// A limit's parameter, its gate or its test that was renamed is renamed in the tables, too.
#[test]
fn every_name_in_the_tables_of_limits_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut code = String::new();
    for part in ["engine", "backtest", "app"] {
        for place in ["src", "tests"] {
            sources(&root.join(part).join(place), &mut code);
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known: std::collections::BTreeSet<&str> = code.split(|c| !is_word(c)).collect();
    let is_name = |word: &&str| word.contains('_') && word.chars().all(is_word);
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(names.len() > 200, "{}", names.len());
    // Left out, and said so.
    let unknown = names.iter().filter(|name| !known.contains(**name));
    let unknown: Vec<_> = unknown
        .filter(|name| **name != "confirmed_breakout")
        .collect();
    assert!(unknown.is_empty(), "docs/limits.md names {unknown:?}");
}
