//! The bytes of one source: a file or standard input, unpacked, with their checksum, and unchanged from first to last.

use std::fs::File;
use std::io::{BufReader, Read, Stdin, stdin};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::data::words::{counted, shell, thousands};
use crate::{Error, Result};

/// How much of a source is looked at to tell what it is.
pub(super) const SAMPLE: usize = 1 << 18;
/// Packed files of tables are some 3 to 50 times smaller than the tables; beyond this ratio nothing is unpacked …
const MOST_RATIO: u64 = 300;
/// … once so many bytes have come out.
const RATIO_FROM: u64 = 8 << 20;
/// Bytes that come out between two looks at the ratio.
const STEP: usize = 1 << 20;

/// How standard input is called in messages.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// How a source is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// One source being read.
pub(super) struct Input {
    path: PathBuf,
    decoder: Decoder,
    pub(super) packing: Packing,
    /// What the file was like when it was opened; none of what is no file.
    opened: Option<(u64, Option<SystemTime>)>,
    unpacked: u64,
    /// Bytes that have been looked at and not been given out.
    sample: Vec<u8>,
    ended: bool,
    before: Sha256,
}

enum Decoder {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Counted>>),
}

/// A file or standard input whose bytes are counted and added to a checksum as they pass.
struct Counted {
    from: From,
    sha256: Sha256,
    n_bytes: u64,
    /// What was read to tell how the file is packed.
    start: Vec<u8>,
    /// What the operating system said, which a decoder may hide.
    failed: Option<std::io::ErrorKind>,
}

enum From {
    File(File),
    Stdin(Stdin),
    Bytes(std::io::Cursor<Vec<u8>>),
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = if self.start.is_empty() {
            let n = self.from.read(buffer).inspect_err(|error| self.failed = Some(error.kind()))?;
            self.sha256.update(&buffer[..n]);
            self.n_bytes += n as u64;
            n
        } else {
            let n = buffer.len().min(self.start.len());
            buffer[..n].copy_from_slice(&self.start[..n]);
            self.start.drain(..n);
            n
        };
        Ok(n)
    }
}

impl Decoder {
    fn counted(&self) -> &Counted {
        match self {
            Self::Plain(counted) => counted,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// Bytes of the source that have been unpacked, those left out that have only been read.
    fn n_taken(&self) -> u64 {
        let waiting = match self {
            Self::Plain(_) => 0,
            Self::Gzip(decoder) => decoder.get_ref().buffer().len(),
            Self::Zstd(decoder) => decoder.get_ref().buffer().len(),
        };
        self.counted().n_bytes - waiting as u64
    }
}

impl Input {
    /// Opens a file, or standard input for `-`; `sha256` goes on from the sources before.
    pub(super) fn open(path: &Path, sha256: Sha256) -> Result<Self> {
        let failed = |source| Error::io("read", path, source);
        if path == Path::new("-") {
            return Self::new(Path::new(STANDARD_INPUT), From::Stdin(stdin()), None, sha256);
        }
        let file = File::open(path).map_err(failed)?;
        let opened = file.metadata().map_err(failed)?;
        let opened = opened.is_file().then(|| (opened.len(), opened.modified().ok()));
        Self::new(path, From::File(file), opened, sha256)
    }

    fn new(
        path: &Path,
        from: From,
        opened: Option<(u64, Option<SystemTime>)>,
        sha256: Sha256,
    ) -> Result<Self> {
        let failed = |source| Error::io("read", path, source);
        let before = sha256.clone();
        let mut counted = Counted { from, sha256, n_bytes: 0, start: Vec::new(), failed: None };
        let mut start = vec![0; 8];
        let mut n = 0;
        while n < start.len() {
            match counted.read(&mut start[n..]).map_err(failed)? {
                0 => break,
                more => n += more,
            }
        }
        start.truncate(n);
        counted.start.clone_from(&start);
        let (packing, decoder) = match start.as_slice() {
            [0x1f, 0x8b, ..] => {
                let reader = BufReader::with_capacity(1 << 16, counted);
                (Packing::Gzip, Decoder::Gzip(Box::new(MultiGzDecoder::new(reader))))
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let reader = BufReader::with_capacity(1 << 16, counted);
                let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(failed)?;
                (Packing::Zstd, Decoder::Zstd(decoder))
            }
            _ => (Packing::None, Decoder::Plain(counted)),
        };
        let path = path.to_owned();
        let mut input =
            Self { path, decoder, packing, opened, unpacked: 0, sample: Vec::new(), ended: false, before };
        let mut sample = Vec::new();
        input.read_up_to(&mut sample, SAMPLE)?;
        input.sample = sample;
        Ok(input)
    }

    /// Bytes as a source called `path`.
    pub(super) fn of_bytes(path: &Path, bytes: &[u8], sha256: Sha256) -> Result<Self> {
        Self::new(path, From::Bytes(std::io::Cursor::new(bytes.to_vec())), None, sha256)
    }

    /// The checksum as it was before this source.
    pub(super) fn sum_before(self) -> Sha256 {
        self.before
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first bytes, unpacked; all of them if [`Input::is_whole`].
    pub(super) fn sample(&self) -> &[u8] {
        &self.sample
    }

    /// Whether the sample is all there is.
    pub(super) fn is_whole(&self) -> bool {
        self.ended
    }

    /// Adds bytes to `buffer` until it holds `length` of them or the source ends; whether it has ended.
    pub(super) fn read_up_to(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<bool> {
        if !self.sample.is_empty() {
            // The sample is less than any length that is asked for, and goes out as a whole.
            buffer.append(&mut self.sample);
        }
        if self.ended || buffer.len() >= length {
            return Ok(self.ended);
        }
        while !self.ended && buffer.len() < length {
            let step = if self.packing == Packing::None { usize::MAX } else { STEP };
            let most = (length - buffer.len()).min(step) as u64;
            let read = match &mut self.decoder {
                Decoder::Plain(counted) => counted.take(most).read_to_end(buffer),
                Decoder::Gzip(decoder) => decoder.take(most).read_to_end(buffer),
                Decoder::Zstd(decoder) => decoder.take(most).read_to_end(buffer),
            };
            let read = read.map_err(|error| self.failed(error))? as u64;
            self.ended = read < most;
            self.unpacked += read;
            self.check_ratio()?;
        }
        Ok(self.ended)
    }

    /// Refuses what unpacks to so much more than it is as no table does.
    fn check_ratio(&self) -> Result<()> {
        let packed = self.decoder.n_taken();
        if self.packing == Packing::None
            || self.unpacked <= RATIO_FROM
            || self.unpacked / packed.max(1) <= MOST_RATIO
        {
            return Ok(());
        }
        Err(Error::data(
            format!(
                "{}: {} of it unpack to more than {}, over {MOST_RATIO} times as much, as no table does",
                self.path.display(),
                counted(packed as usize, "byte"),
                counted(self.unpacked as usize, "byte")
            ),
            "if it is a table all the same, unpack it first and give the unpacked file",
        ))
    }

    /// Bytes of the source that have been read.
    pub(super) fn n_bytes(&self) -> u64 {
        self.decoder.counted().n_bytes
    }

    fn failed(&self, error: std::io::Error) -> Error {
        let name = shell(&self.path.to_string_lossy());
        let (what, test) = match self.packing {
            _ if self.decoder.counted().failed.is_some() => return Error::io("read", &self.path, error),
            Packing::None => return Error::io("read", &self.path, error),
            Packing::Gzip => ("gzip", format!("gzip --test {name}")),
            Packing::Zstd => ("zstd", format!("zstd --test {name}")),
        };
        Error::data(
            format!("{} is packed by {what} and damaged or cut short: {error}", self.path.display()),
            format!("copy it again; `{test}` says whether it is whole"),
        )
    }

    /// The checksum so far, if the source is still as it was when it was opened.
    pub(super) fn finish(self) -> Result<Sha256> {
        let counted = match self.decoder {
            Decoder::Plain(counted) => counted,
            Decoder::Gzip(decoder) => decoder.into_inner().into_inner(),
            Decoder::Zstd(decoder) => decoder.finish().into_inner(),
        };
        if let Some(opened) = self.opened {
            check_unchanged(&self.path, opened)?;
            if counted.n_bytes != opened.0 {
                return Err(changed(&self.path, opened.0, counted.n_bytes));
            }
        }
        Ok(counted.sha256)
    }
}

/// An error if a file is not as it was when it was opened.
pub(super) fn check_unchanged(path: &Path, opened: (u64, Option<SystemTime>)) -> Result<()> {
    let now = std::fs::metadata(path).map_err(|source| Error::io("read", path, source))?;
    if now.len() != opened.0 {
        return Err(changed(path, opened.0, now.len()));
    }
    if now.modified().ok() != opened.1 {
        return Err(Error::data(
            format!("{} was written to while it was read", path.display()),
            "wait until it is complete, then run the command again",
        ));
    }
    Ok(())
}

fn changed(path: &Path, before: u64, after: u64) -> Error {
    Error::data(
        format!(
            "{} changed while it was read: {} when it was opened, {} now",
            path.display(),
            counted(before as usize, "byte"),
            thousands(after as usize)
        ),
        "wait until it is complete, then run the command again",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn little_that_unpacks_to_much_is_refused_before_much_has_come_out() {
        let text = "0,0\n".repeat(64 << 18);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text.as_bytes()).unwrap();
        for packed in [gzip.finish().unwrap(), zstd::encode_all(text.as_bytes(), 3).unwrap()] {
            let mut input = Input::of_bytes(Path::new("t.csv.gz"), &packed, Sha256::new()).unwrap();
            let mut held = Vec::new();
            let error = loop {
                held.clear();
                match input.read_up_to(&mut held, 16 << 20) {
                    Ok(ended) => assert!(!ended, "all of it came out"),
                    Err(error) => break error.to_string(),
                }
            };
            assert!(error.contains("over 300 times as much"), "{error}");
            // A decoder takes some 32 KiB of its input ahead, which may come to 300 times as much.
            let most = RATIO_FROM.max(MOST_RATIO * (36 << 10)) + STEP as u64;
            assert!(input.unpacked <= most && held.capacity() as u64 <= 3 * most, "{}", input.unpacked);
        }
    }
}
