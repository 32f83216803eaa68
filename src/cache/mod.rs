//! What is made once of a table larger than memory, and found again: typed columns, prepared rows.
//!
//! An entry is a folder that gets its name when it is complete. Nothing in it is ever run; what it says of sizes is
//! compared with its files, and their checksums, before memory is taken.

pub mod columns;
mod evict;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::checked_file::Seal;
use crate::error::{Error, Result};

/// The version of all that is written here; an entry of another is made anew.
const VERSION: u32 = 3;
/// What an entry holds is described in this file.
const MANIFEST: &str = "manifest.json";
/// How folders begin that are not complete.
const BUILDING: &str = "building-";
/// Held by the process that builds.
const LOCK: &str = "lock";

/// A folder of entries.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    /// The most bytes that it holds.
    most: u64,
}

/// Says that an entry is read from: no process removes it for want of room as long as this lives.
#[derive(Debug)]
pub struct InUse {
    /// The manifest, locked in common with other readers.
    _manifest: File,
}

/// What is found where an entry should be.
#[derive(Debug)]
pub enum Found<M> {
    /// It, complete and undamaged.
    Whole(M, InUse),
    /// Nothing.
    Absent,
    /// Something else, in words.
    Unfit(String),
}

#[derive(Deserialize)]
struct Sealed<'a> {
    version: u32,
    sha256: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Cache {
    /// The cache in `folder`; if that is empty, in `statera` of the user's folder for caches (`$XDG_CACHE_HOME`, or
    /// `.cache` at home), of at most so many bytes. What killed processes have left there is removed.
    pub fn open(folder: &Path, most: u64) -> Result<Self> {
        let root = if folder.as_os_str().is_empty() { usual_place()? } else { folder.to_owned() };
        std::fs::create_dir_all(&root).map_err(|e| unwritable(&root, &e))?;
        let cache = Self { root, most };
        cache.remove_remains();
        Ok(cache)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The place of the entry of this kind that is made of `key` alone, by this version of Statera.
    pub fn entry(&self, kind: &str, key: &impl Serialize) -> Result<PathBuf> {
        let key = serde_json::to_vec(&(env!("CARGO_PKG_VERSION"), key))
            .map_err(|e| Error::output(format!("the cache has no key: {e}"), ""))?;
        let hex: String = Sha256::digest(key)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.root.join(format!("{kind}-{hex}")))
    }

    /// A place to build an entry in.
    pub fn build(&self) -> Result<Building> {
        let failed = |e| unwritable(&self.root, &e);
        let folder = tempfile::Builder::new().prefix(BUILDING).tempdir_in(&self.root).map_err(failed)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(failed)?;
        // Where files cannot be locked, what is left by a killed process stays.
        let _ = lock.try_lock();
        Ok(Building { folder, lock })
    }

    /// Describes the files of an entry and gives it its name, in place of what is there; then removes what has not been
    /// used for longest, if there is more than the cache is to hold, and tells of it.
    pub fn publish(
        &self,
        building: Building,
        entry: &Path,
        manifest: &impl Serialize,
        tell: &mut dyn FnMut(&str),
    ) -> Result<InUse> {
        let failed = |e| unwritable(entry, &e);
        let content = serde_json::to_string(manifest)
            .map_err(|e| Error::output(format!("the cache cannot be described: {e}"), ""))?;
        let sha256 = hex_of(content.as_bytes());
        let text = format!(r#"{{"version":{VERSION},"sha256":"{sha256}","content":{content}}}"#);
        let path = building.path().join(MANIFEST);
        std::fs::write(&path, text).map_err(failed)?;
        // From before it has its name, so that no other process finds it unused.
        let in_use = InUse::of(&path).map_err(failed)?;
        std::fs::remove_file(building.path().join(LOCK)).map_err(failed)?;
        if entry.exists() {
            std::fs::remove_dir_all(entry).map_err(failed)?;
        }
        std::fs::rename(building.path(), entry).map_err(failed)?;
        // It has another name now; there is nothing to remove.
        let _ = building.folder.keep();
        drop(building.lock);
        evict::to_fit(&self.root, self.most, tell);
        Ok(in_use)
    }

    fn remove_remains(&self) {
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let is_building = entry.file_name().to_string_lossy().starts_with(BUILDING);
            let lock = is_building.then(|| File::open(entry.path().join(LOCK)).ok()).flatten();
            if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl InUse {
    /// Marks the entry of this manifest as used, now.
    fn of(manifest: &Path) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).open(manifest)?;
        // Where files cannot be locked, or times not be set, entries are removed by what is known.
        let _ = file.lock_shared();
        let _ = file.set_modified(SystemTime::now());
        Ok(Self { _manifest: file })
    }
}

fn usual_place() -> Result<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let caches = of("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let caches = caches.or_else(|| Some(of("HOME")?.join(".cache")));
    caches.map(|caches| caches.join("statera")).ok_or_else(|| {
        Error::output("there is no place for a cache: HOME is not set", "name a folder: --cache FOLDER")
    })
}

/// The error of a cache that cannot be written.
pub fn unwritable(place: &Path, source: &std::io::Error) -> Error {
    Error::output(
        format!(
            "the cache in {} cannot be written: {source}; what was written of it is removed",
            place.display()
        ),
        "make room on its disk, or name a folder on another: --cache FOLDER",
    )
}

/// What a user is told of an error on the way to an entry: one of writing is about the cache.
pub fn told(cache: &Cache, error: Error) -> Error {
    match error {
        Error::Io { action: "write", source, .. } => unwritable(cache.path(), &source),
        other => other,
    }
}

/// An entry that is not complete, until [`Cache::publish`]: dropped, it is removed.
#[derive(Debug)]
pub struct Building {
    folder: tempfile::TempDir,
    lock: File,
}

impl Building {
    /// Where its files are to be.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn hex_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what an entry says of itself, and compares it with its files, which `seals` names.
pub fn open<M: DeserializeOwned>(entry: &Path, seals: impl Fn(&M) -> Vec<(String, &Seal)>) -> Found<M> {
    /// No manifest is larger: it names columns and categories.
    const MOST: u64 = 1 << 28;
    if !entry.exists() {
        return Found::Absent;
    }
    let path = entry.join(MANIFEST);
    let read = || -> std::result::Result<(M, InUse), String> {
        // Before anything is read, so that it is not removed meanwhile.
        let in_use = InUse::of(&path).map_err(|e| format!("{MANIFEST}: {e}"))?;
        let length = path.metadata().map_err(|e| format!("{MANIFEST}: {e}"))?.len();
        if length > MOST {
            return Err(format!("{MANIFEST} holds {length} bytes"));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{MANIFEST}: {e}"))?;
        let sealed: Sealed = serde_json::from_str(&text).map_err(|e| format!("{MANIFEST}: {e}"))?;
        if sealed.version != VERSION {
            return Err(format!(
                "it is of version {}, and this Statera makes version {VERSION}",
                sealed.version
            ));
        }
        if hex_of(sealed.content.get().as_bytes()) != sealed.sha256 {
            return Err(format!("the checksum of {MANIFEST} does not agree with its content"));
        }
        let manifest: M =
            serde_json::from_str(sealed.content.get()).map_err(|e| format!("{MANIFEST}: {e}"))?;
        let fault = seals(&manifest).into_iter().find_map(|(name, seal)| seal.fault(&entry.join(name)));
        fault.map_or(Ok((manifest, in_use)), Err)
    };
    match read() {
        Ok((manifest, in_use)) => Found::Whole(manifest, in_use),
        Err(why) => Found::Unfit(why),
    }
}
