//! Keys: from the environment, or from a file that only its owner can read.
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Names and values of the environment, with those of an env file before them.
#[derive(Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, SecretString>,
}

/// Why the keys can't be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The file does not read.
    #[error("could not read the env file {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error(
        "the env file {path} can be read by others (mode {mode:o}): run 'chmod 600 {path}' and change the keys if others had access"
    )]
    Exposed {
        /// Which.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// A line that is not KEY=VALUE.
    #[error("{path}:{line}: expected KEY=VALUE")]
    Line {
        /// Which file.
        path: String,
        /// The line's number.
        line: usize,
    },
    /// A key that is needed and not there.
    #[error("{venue} needs {name}: set it in the environment or in the env file")]
    Missing {
        /// Which venue needs it.
        venue: String,
        /// Its name.
        name: &'static str,
    },
}

impl Environment {
    /// Reads the process's environment, and the file where there is one. `strict` refuses a file that others can read.
    ///
    /// # Errors
    /// [`EnvError`].
    pub fn read(file: Option<&Path>, strict: bool) -> Result<Self, EnvError> {
        let mut values: BTreeMap<String, SecretString> = std::env::vars()
            .map(|(name, value)| (name, value.into()))
            .collect();
        if let Some(path) = file {
            let shown = path.display().to_string();
            let read = |source| EnvError::Read {
                path: shown.clone(),
                source,
            };
            let mode = std::fs::metadata(path).map_err(read)?.permissions().mode() & 0o777;
            if strict && mode & 0o077 != 0 {
                return Err(EnvError::Exposed { path: shown, mode });
            }
            let text = std::fs::read_to_string(path).map_err(read)?;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let pair = line.strip_prefix("export ").unwrap_or(line).split_once('=');
                let Some((name, value)) = pair else {
                    return Err(EnvError::Line {
                        path: shown,
                        line: number + 1,
                    });
                };
                // A key of several lines is written with \n.
                let value = value.trim().trim_matches('"').replace("\\n", "\n");
                values.insert(name.trim().to_owned(), value.into());
            }
        }
        Ok(Self { values })
    }

    /// A value under the first of the names that is set.
    pub fn get(&self, names: &[&'static str]) -> Option<&SecretString> {
        names.iter().find_map(|name| self.values.get(*name))
    }

    /// A value that a venue needs, under the first of the names that is set.
    ///
    /// # Errors
    /// [`EnvError::Missing`] with the first name.
    pub fn need(&self, venue: &str, names: &[&'static str]) -> Result<&SecretString, EnvError> {
        self.get(names).ok_or_else(|| EnvError::Missing {
            venue: venue.to_owned(),
            name: names.first().copied().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_file_that_others_can_read_is_refused_and_its_values_come_before_the_environments() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("onetape.env");
        std::fs::write(&path, "# keys\nexport PATH=\"a\\nb\"\n\nKEY=x=y\n").unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
        set(0o640).unwrap();
        let refused = Environment::read(Some(&path), true).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        set(0o600).unwrap();
        let environment = Environment::read(Some(&path), true).unwrap();
        let value = |name| {
            environment
                .need("v", &[name])
                .unwrap()
                .expose_secret()
                .to_owned()
        };
        assert_eq!(
            (value("PATH"), value("KEY")),
            ("a\nb".to_owned(), "x=y".to_owned())
        );
        let missing = environment
            .need("kalshi", &["KALSHI_API_KEY_ID"])
            .unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("kalshi needs KALSHI_API_KEY_ID")
        );
        std::fs::write(&path, "KEY\n").unwrap();
        let bad = Environment::read(Some(&path), true).unwrap_err();
        assert!(
            bad.to_string()
                .ends_with("onetape.env:1: expected KEY=VALUE")
        );
    }
}
