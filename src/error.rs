//! What can go wrong, in the words a user needs: what, where, expected, got, and what to do next.

use std::path::{Path, PathBuf};

/// What is wrong and what to type or change next; the body of most [`Error`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What was found, where, and what was expected.
    pub what: String,
    /// What the user can do about it; empty when nothing can be said.
    pub remedy: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  try: {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that the library can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting or argument is unknown, out of range, or impossible together with another (exit code 2).
    #[error("{0}")]
    Setting(Problem),
    /// The table cannot be read, or cannot be learned from.
    #[error("{0}")]
    Data(Problem),
    /// A model file is damaged, of another version, or does not fit the table.
    #[error("{0}")]
    Model(Problem),
    /// Training went wrong, for example by a loss that is not finite.
    #[error("{0}")]
    Training(Problem),
    /// Something cannot be written where it was asked for.
    #[error("{0}")]
    Output(Problem),
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {source}\n  try: {}", path.display(), io_remedy(action, source))]
    Io {
        /// The verb: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What to do about a file that the operating system refuses.
fn io_remedy(action: &str, source: &std::io::Error) -> &'static str {
    match (action, source.kind()) {
        ("read", std::io::ErrorKind::PermissionDenied) => "check that you may read it: ls -l shows who may",
        ("read", _) => "check the path, and that the disk it is on answers",
        (_, std::io::ErrorKind::StorageFull) => "make room on the disk, or choose another place",
        _ => "choose another place, one that you can write to",
    }
}

fn problem(what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { what: what.into(), remedy: remedy.into() }
}

impl Error {
    /// A [`Error::Setting`] of these words.
    pub fn setting(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Setting(problem(what, remedy))
    }

    /// A [`Error::Data`] of these words.
    pub fn data(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Data(problem(what, remedy))
    }

    /// A [`Error::Model`] of these words.
    pub fn model(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Model(problem(what, remedy))
    }

    /// A [`Error::Training`] of these words.
    pub fn training(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Training(problem(what, remedy))
    }

    /// A [`Error::Output`] of these words.
    pub fn output(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Output(problem(what, remedy))
    }

    /// Wraps what the operating system said about `path` while trying to `action` it.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// The process's exit code: 2 for wrong use, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) => 2,
            _ => 1,
        }
    }
}

/// The candidate nearest to `name`, if one is near enough to be what was meant.
///
/// Nearness is Damerau–Levenshtein similarity of at least 0.5, case folded.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(&name, &c.to_lowercase()), c))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}
