//! Files of a cache: written block by block with a checksum each, so that damage is found before anything is made of it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes that have a checksum of their own.
const BLOCK: usize = 1 << 22;

/// What a file of a cache has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Its length.
    pub n_bytes: u64,
    /// The checksum of every 4 MiB, the last of what is left over.
    pub checksums: Vec<u64>,
}

/// Writes a file from its first byte to its last, and seals it.
#[derive(Debug)]
pub struct SealedWriter {
    path: PathBuf,
    file: File,
    block: Vec<u8>,
    seal: Seal,
}

impl SealedWriter {
    /// A new file at `path`, which takes the place of any other.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io("write", path, e))?;
        let seal = Seal { n_bytes: 0, checksums: Vec::new() };
        Ok(Self { path: path.to_owned(), file, block: Vec::with_capacity(BLOCK), seal })
    }

    /// Appends `bytes`.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.seal.checksums.push(checksum(&self.block));
        self.seal.n_bytes += self.block.len() as u64;
        self.file.write_all(&self.block).map_err(|e| Error::io("write", &self.path, e))?;
        self.block.clear();
        Ok(())
    }

    /// What the file has to hold from now on.
    pub fn finish(mut self) -> Result<Seal> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.file.sync_all().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(self.seal)
    }
}

impl Seal {
    /// What keeps the file at `path` from being the one that was sealed, in words; nothing if it is that one.
    ///
    /// Blocks are read on all threads, each into 4 MiB of memory, whatever the seal says.
    pub fn fault(&self, path: &Path) -> Option<String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let n_bytes = match path.metadata() {
            Ok(there) => there.len(),
            Err(error) => return Some(format!("{name}: {error}")),
        };
        if n_bytes != self.n_bytes || self.checksums.len() as u64 != n_bytes.div_ceil(BLOCK as u64) {
            return Some(format!("{name} holds {n_bytes} bytes; expected {}", self.n_bytes));
        }
        let parts = self.checksums.par_chunks(64).enumerate().map(|(part, sums)| {
            let read = || -> std::io::Result<bool> {
                let mut file = File::open(path)?;
                std::io::Seek::seek(&mut file, std::io::SeekFrom::Start((part * 64 * BLOCK) as u64))?;
                let mut block = Vec::with_capacity(BLOCK);
                for &sum in sums {
                    block.clear();
                    (&mut file).take(BLOCK as u64).read_to_end(&mut block)?;
                    if checksum(&block) != sum {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            match read() {
                Ok(true) => None,
                Ok(false) => Some(format!("the checksum of {name} does not agree with its content")),
                Err(error) => Some(format!("{name}: {error}")),
            }
        });
        parts.find_first(Option::is_some).flatten()
    }
}

/// Sixty-four bits of `bytes` that a flipped bit, a hole or a swap changes; no protection against malice.
///
/// Four words at a time, each in a lane of its own: h ← rotate(h ⊕ word)·odd, which no two words of the same place
/// leave alike.
fn checksum(bytes: &[u8]) -> u64 {
    // The golden ratio's bits, which are odd.
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |h: u64, word: u64| (h ^ word).rotate_left(29).wrapping_mul(ODD);
    let mut lanes = [1_u64, 2, 3, 4];
    let (chunks, rest) = bytes.as_chunks::<32>();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let mut last = rest.to_vec();
    last.resize(32, 0);
    let words = last.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    lanes.into_iter().chain(words).fold(bytes.len() as u64, mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_whole_and_any_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        let bytes: Vec<u8> =
            (0..2 * BLOCK as u32 + 77).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut writer = SealedWriter::create(&path).unwrap();
        bytes.chunks(1_000_003).for_each(|part| writer.write(part).unwrap());
        let seal = writer.finish().unwrap();
        assert_eq!((seal.n_bytes, seal.checksums.len()), (bytes.len() as u64, 3));
        assert_eq!(seal.fault(&path), None);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        for at in [0, 7, BLOCK - 1, BLOCK, 2 * BLOCK + 76] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let fault = seal.fault(&path).unwrap();
            assert_eq!(fault, "the checksum of numbers does not agree with its content", "byte {at}");
        }
        let mut swapped = bytes.clone();
        swapped.swap(3, 11);
        std::fs::write(&path, &swapped).unwrap();
        assert!(bytes[3] != bytes[11] && seal.fault(&path).is_some());
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert!(seal.fault(&path).unwrap().contains("bytes; expected"));
        std::fs::remove_file(&path).unwrap();
        assert!(seal.fault(&path).is_some());
    }
}
