//! Files written whole or not at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes `bytes` to `path` by way of a [`NewFile`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = NewFile::create(path)?;
    file.write(bytes)?;
    file.finish()
}

/// A file that is written piece by piece, and is there when all of it is: a temporary file beside it is flushed to disk,
/// then renamed. Dropped before, it leaves nothing.
///
/// Whatever was at its path stays untouched until the new content is complete, and hands its permissions on; a new
/// file has those that the process's umask leaves it. A link stays a link to the file that it leads to. A pipe or a device
/// has no content to keep and is not replaced: it is written to.
#[derive(Debug)]
pub struct NewFile {
    /// As it was named.
    named: PathBuf,
    path: PathBuf,
    permissions: Option<std::fs::Permissions>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Device(File),
    Temporary(tempfile::NamedTempFile),
}

impl NewFile {
    /// A file to be at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("write", path, bare(source));
        let there = path.metadata().ok();
        let permissions = there.as_ref().map(std::fs::Metadata::permissions);
        let named = path.to_owned();
        if there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
            let open = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            return Ok(Self { path: named.clone(), named, permissions, content: Content::Device(open) });
        }
        let path = match there {
            Some(_) if path.is_symlink() => path.canonicalize().map_err(failed)?,
            _ => named.clone(),
        };
        check_folder(&path)?;
        let mut builder = tempfile::Builder::new();
        // A temporary file would be private to its owner; a result is made as any other file is, less the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(&path)).map_err(failed)?;
        Ok(Self { named, path, permissions, content: Content::Temporary(file) })
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.content {
            Content::Device(file) => file.write_all(bytes),
            Content::Temporary(file) => file.write_all(bytes),
        };
        written.map_err(|e| Error::io("write", &self.named, bare(e)))
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        let Content::Temporary(file) = self.content else { return Ok(()) };
        let failed = |source| Error::io("write", &self.named, bare(source));
        #[cfg(unix)]
        if let Some(permissions) = self.permissions {
            file.as_file().set_permissions(permissions).map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        put(file, &self.path).map_err(failed)?;
        // The rename itself is on disk once the folder is.
        #[cfg(unix)]
        File::open(folder_of(&self.path)).and_then(|f| f.sync_all()).map_err(failed)?;
        Ok(())
    }
}

/// Gives a temporary file its name; one that does not get it is removed.
#[cfg(unix)]
fn put(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    let mut temporary = file.into_temp_path();
    // By way of the C library, where tests let it fail.
    std::fs::rename(&temporary, path)?;
    temporary.disable_cleanup(true);
    Ok(())
}

#[cfg(not(unix))]
fn put(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// Refuses a path in a folder that does not exist.
pub fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    // A file in the place of a folder is told by the operating system.
    match folder.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::output(
            format!("cannot write {}: there is no folder {}", path.display(), folder.display()),
            "make the folder first, or choose another place",
        )),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the operating system said, without the name of the temporary file, which nobody has typed.
fn bare(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.rsplit_once(" at path \"") {
        Some((said, _)) if error.raw_os_error().is_none() => std::io::Error::new(error.kind(), said),
        _ => error,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn files_and_what_links_lead_to_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_atomically(&file, b"one").unwrap();
        symlink("file", &link).unwrap();
        write_atomically(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(write_atomically(folder.path(), b"three").is_err(), "a folder is no file");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written is left");
    }

    #[test]
    fn what_is_replaced_hands_its_permissions_on() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for mode in [0o600, 0o640, 0o664] {
            write_atomically(&file, b"one").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            write_atomically(&file, b"two").unwrap();
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                std::fs::File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write_atomically(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(!pipe.metadata().unwrap().is_file());
    }
}
