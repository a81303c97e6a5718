//! Names the decision logic: a hash over the engine's own sources, the same for debug and release builds.
//! It goes into every session's first frame, so that a difference between two runs can be traced to a build.
// The build script reads files on purpose; what it forbids is meant for the core.
#![allow(clippy::disallowed_methods)]
use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=src");
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files)?;
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(file.as_bytes());
        hasher.update(&fs::read(&file)?);
    }
    println!(
        "cargo:rustc-env=ONETAPE_LOGIC_HASH={}",
        &hasher.finalize().to_hex()[..16]
    );
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}
