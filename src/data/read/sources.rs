//! The files that a path means: itself, those of a folder, or those that a pattern matches.

use std::path::{Path, PathBuf};

use super::format::{ENDS, end_of};
use crate::data::words::listed;
use crate::error::nearest;
use crate::{Error, Result};

/// The files of all sources, those of a folder or pattern in the order of their names.
pub(super) fn files_of(sources: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in sources {
        if path == Path::new("-") {
            files.push(path.clone());
            continue;
        }
        match std::fs::metadata(path) {
            Ok(data) if data.is_dir() => files.extend(files_in(path)?),
            Ok(_) => files.push(path.clone()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match pattern(path) {
                Some(pattern) => files.extend(files_like(path, pattern)?),
                None => return Err(no_such_file(path)),
            },
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
    if let Some(twice) =
        files.iter().enumerate().find_map(|(i, file)| files[..i].contains(file).then_some(file))
    {
        return Err(Error::data(
            format!("{} is named twice: its rows would be in the table twice", twice.display()),
            "name every file once",
        ));
    }
    Ok(files)
}

/// Whether a file's name is that of a table; names that start with `.` or `_` are those of other things.
fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with(['.', '_']) && ENDS.contains(&end_of(path).as_str())
}

/// The tables in a folder.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("read", folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_table(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(Error::data(
            format!(
                "there is no table in the folder {}: no file in it ends in .{}",
                folder.display(),
                ENDS.join(", .")
            ),
            format!(
                "give the path of a file, or a pattern that also looks into folders: '{}'",
                folder.join("**/*.csv").display()
            ),
        ));
    }
    Ok(files)
}

/// The text of a path that is a pattern.
fn pattern(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains(['*', '?', '[']))
}

/// The files that a pattern matches.
fn files_like(path: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let found = glob::glob(pattern).map_err(|error| {
        Error::setting(
            format!("{} is no pattern of names: {error}", path.display()),
            "* for any characters, ? for one, [ab] for one of these, ** for any folders",
        )
    })?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|error| {
            let path = error.path().to_owned();
            Error::io("read", &path, error.into())
        })?;
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(match no_such_file(path) {
            Error::Data(problem) => {
                Error::data(format!("no file is called like {}", path.display()), problem.remedy)
            }
            other => other,
        });
    }
    Ok(files)
}

/// The error of a path that leads nowhere, with the file that may have been meant.
fn no_such_file(path: &Path) -> Error {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Error::data(
            format!("no such file: {}; the folder {} does not exist", path.display(), folder.display()),
            "check the path; it starts from the folder that the command runs in",
        );
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // The order of a folder is the file system's: sorted, so that the same name is proposed everywhere.
    names.sort_unstable();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let remedy = if let Some(name) = nearest(&wanted, names.iter().map(String::as_str)) {
        format!("did you mean {}?", path.with_file_name(name).display())
    } else {
        let tables = names.iter().map(String::as_str).filter(|name| is_table(Path::new(name)));
        match listed(tables).as_str() {
            "" => format!("there is no table in {}", folder.display()),
            tables => format!("the tables in {} are {tables}", folder.display()),
        }
    };
    Error::data(format!("no such file: {}", path.display()), remedy)
}
