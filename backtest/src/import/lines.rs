//! The lines of a file, plain or gzip, with everything bounded: memory by the longest line allowed.
use super::error::ImportError;
use flate2::bufread::MultiGzDecoder;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The longest line that is read, bytes.
pub const LINE_BYTES_MAX: usize = 16 << 20;
const BUFFER_BYTES: usize = 1 << 18;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Counts and hashes what passes.
struct Metered {
    file: File,
    meter: Rc<RefCell<Meter>>,
}

struct Meter {
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Read for Metered {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        let mut meter = self.meter.borrow_mut();
        meter.bytes += count as u64;
        meter.hasher.update(out.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A file's lines, one at a time.
pub(super) struct Lines {
    path: PathBuf,
    name: String,
    reader: Box<dyn BufRead>,
    gzip: bool,
    meter: Rc<RefCell<Meter>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let failed = |source| ImportError::Read {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let meter = Rc::new(RefCell::new(Meter {
            bytes: 0,
            hasher: blake3::Hasher::new(),
        }));
        let mut plain = BufReader::with_capacity(
            BUFFER_BYTES,
            Metered {
                file,
                meter: meter.clone(),
            },
        );
        let gzip = plain.fill_buf().map_err(failed)?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(plain),
            ))
        } else {
            Box::new(plain)
        };
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self {
            path: path.to_path_buf(),
            name,
            reader,
            gzip,
            meter,
            line: Vec::new(),
            number: 0,
        })
    }

    /// Goes to the next line; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, ImportError> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.line);
        if let Err(source) = read {
            let damaged = matches!(
                source.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
            );
            return Err(if self.gzip && damaged {
                ImportError::Gzip {
                    path: self.path.clone(),
                    bytes: self.bytes(),
                    why: source.to_string(),
                }
            } else {
                ImportError::Read {
                    path: self.path.clone(),
                    source,
                }
            });
        }
        if self.line.is_empty() {
            return Ok(false);
        }
        self.number += 1;
        if self.line.len() > LINE_BYTES_MAX {
            return Err(ImportError::LineTooLong {
                path: self.path.clone(),
                line: self.number,
                limit: LINE_BYTES_MAX,
            });
        }
        while self
            .line
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            self.line.pop();
        }
        if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(true)
    }

    /// The line; `None` if it is not UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.line).ok()
    }

    /// The line as far as it can be shown.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.line)
            .chars()
            .take(60)
            .flat_map(char::escape_debug)
            .collect()
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.meter.borrow().bytes
    }

    /// BLAKE3 of the bytes read so far: of the whole file at its end.
    pub(super) fn identity(&self) -> String {
        self.meter.borrow().hasher.finalize().to_hex().to_string()
    }
}
