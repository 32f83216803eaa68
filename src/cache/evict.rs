//! What is removed of a cache that holds more than it is to.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::MANIFEST;
use crate::run::budget::said;

/// An entry, as far as its removal goes.
struct Entry {
    path: PathBuf,
    n_bytes: u64,
    used: SystemTime,
}

impl Entry {
    /// The entry in this folder, if it is a complete one.
    fn at(path: PathBuf) -> Option<Self> {
        let used = path.join(MANIFEST).metadata().ok()?.modified().ok()?;
        let files = std::fs::read_dir(&path).ok()?.flatten();
        let n_bytes = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        Some(Self { path, n_bytes, used })
    }

    /// Removes it, unless somebody reads from it.
    fn remove(&self) -> bool {
        let manifest = self.path.join(MANIFEST);
        // The lock is held until it is gone: who comes later finds no manifest.
        let lock = File::open(&manifest).ok().filter(|file| file.try_lock().is_ok());
        lock.is_some()
            && std::fs::remove_file(manifest).and_then(|()| std::fs::remove_dir_all(&self.path)).is_ok()
    }
}

/// Removes entries of the cache in `root`, those first that have not been used for longest, until the others hold at
/// most so many bytes. Whatever a process reads from stays. Tells what is removed.
pub(super) fn to_fit(root: &Path, most: u64, tell: &mut dyn FnMut(&str)) {
    let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|folder| folder.path());
    let is_entry = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("columns-") || name.starts_with("rows-")
    };
    let mut entries: Vec<Entry> = folders.filter(is_entry).filter_map(Entry::at).collect();
    entries.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.path.cmp(&b.path)));
    let mut held: u64 = entries.iter().map(|entry| entry.n_bytes).sum();
    for entry in entries {
        if held <= most {
            break;
        }
        if entry.remove() {
            held -= entry.n_bytes;
            let (n, most) = (said(entry.n_bytes as f64), said(most as f64));
            tell(&format!(
                "removed {} ({n}) from the cache, which is to hold at most data.cache_size = {most}",
                entry.path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cache, Found, InUse, open};

    fn published(cache: &Cache, name: &str, tell: &mut dyn FnMut(&str)) -> InUse {
        let building = cache.build().unwrap();
        std::fs::write(building.path().join("input-0"), [0; 1000]).unwrap();
        cache.publish(building, &cache.path().join(name), &"what it holds", tell).unwrap()
    }

    fn names(cache: &Cache) -> Vec<String> {
        let folders = std::fs::read_dir(cache.path()).unwrap().flatten();
        let mut names: Vec<_> = folders.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 2500).unwrap();
        std::fs::create_dir(folder.path().join("of-somebody-else")).unwrap();
        let told = std::cell::RefCell::new(Vec::new());
        let mut tell = |line: &str| told.borrow_mut().push(line.to_owned());
        let first = published(&cache, "columns-1", &mut tell);
        drop(published(&cache, "rows-2", &mut tell));
        let path = cache.path().join("columns-1");
        // The third is one too many: the first is in use, so the second goes though it is younger.
        drop(published(&cache, "rows-3", &mut tell));
        assert_eq!(names(&cache), ["columns-1", "of-somebody-else", "rows-3"]);
        drop(first);
        // Looked at once more it is younger than the third.
        assert!(matches!(open::<String>(&path, |_| Vec::new()), Found::Whole(..)));
        drop(published(&cache, "rows-4", &mut tell));
        assert_eq!(names(&cache), ["columns-1", "of-somebody-else", "rows-4"]);
        let heard: Vec<String> = told.borrow().clone();
        assert!(heard.len() == 2 && heard[0].contains("rows-2") && heard[1].contains("rows-3"), "{heard:?}");
        assert!(
            heard[0].contains("(1.1 KiB) from the cache, which is to hold at most data.cache_size = 2.4 KiB")
        );
        // One that is larger than all there is to be stays for the run that has made it.
        let small = Cache::open(folder.path(), 1).unwrap();
        let own = published(&small, "rows-5", &mut tell);
        assert_eq!(names(&cache), ["of-somebody-else", "rows-5"]);
        drop(own);
    }
}
