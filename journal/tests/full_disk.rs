//! A full disk stops the writer with an error, never with a signal, and loses nothing that was published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::read_all;
use onetape_journal::{Error, Options, Tag, Writer};
use std::path::Path;
use std::process::Command;

/// A small file system in memory, unmounted at the end.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(size: &str) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "onetape-journal-test"])
            .arg(dir.path())
            .output()
            .ok()?;
        done.status.success().then_some(Mount(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_writer_loses_nothing_and_lets_it_go_on_when_there_is_room() {
    let Some(mount) = Mount::new("6m") else {
        println!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let dir = mount.path().join("journal");
    let ballast = mount.path().join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let options = Options {
        segment_bytes: 1 << 20,
        ..Options::default()
    };
    let mut writer = Writer::create(&dir, options).unwrap();
    let fill = |writer: &mut Writer| -> (u64, Error) {
        loop {
            let sequence = writer.next_sequence();
            if let Err(e) = writer.append(Tag::input(1), sequence, &[sequence as u8; 200]) {
                return (sequence - 1, e);
            }
        }
    };
    let (published, error) = fill(&mut writer);
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(published > 5000);
    assert_eq!(writer.next_sequence(), published + 1);
    let (found, end) = read_all(&dir);
    end.unwrap();
    assert_eq!(found.len() as u64, published);
    // Still full, still an error, still nothing lost.
    assert!(matches!(fill(&mut writer).1, Error::Full { .. }));

    std::fs::remove_file(&ballast).unwrap();
    let (more, error) = fill(&mut writer);
    assert!(
        more > published + 4000,
        "{published} and then {more}: {error}"
    );
    assert!(matches!(error, Error::Full { .. }), "{error}");

    // Closing needs no space, reading neither; opening needs room for one segment.
    assert_eq!(writer.close().unwrap(), more);
    let (found, end) = read_all(&dir);
    end.unwrap();
    assert_eq!(found.len() as u64, more);
    let filler = mount.path().join("filler");
    let _ = std::fs::write(&filler, vec![1; 6 << 20]);
    assert!(matches!(
        Writer::open(&dir, options),
        Err(Error::Full { .. })
    ));
    std::fs::remove_file(&filler).unwrap();
    onetape_journal::archive::compress_sealed(&dir, 3).unwrap();
    let (mut writer, recovery) = Writer::open(&dir, options).unwrap();
    assert_eq!(recovery.last_sequence, more);
    writer.append(Tag::input(1), 0, b"goes on").unwrap();
    writer.close().unwrap();
}
