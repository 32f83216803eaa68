//! Checkpoints: the state of a training as bytes, from which it goes on to the same bits as if it had not been broken off.
//!
//! A file is in the safetensors format: arrays by name, and in the metadata one JSON document with all that is no array,
//! and a checksum over both. Nothing in a file is ever run, and it takes no more memory than twice its size.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use statera_kernels::Scalar;

use super::state::State;
use crate::error::{Error, Result};
use crate::model::Params;
use crate::model_file::checksum;
use crate::stored::{self, Stored, Stores};

/// The version of the layout.
pub const FORMAT_VERSION: u32 = 1;
/// The entry of the file's metadata that holds the document.
const METADATA_KEY: &str = "statera_checkpoint";
/// How many times as long as taking a checkpoint training goes on before it takes the next one in the middle of an epoch.
const PATIENCE: u32 = 50;
/// And at the end of an epoch, so that of few long ones none is trained twice.
const PATIENCE_OF_EPOCHS: u32 = 10;

/// A double as its bits: JSON has no numbers that are not finite.
pub(super) mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(in crate::train) fn serialize<S: Serializer>(x: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(x.to_bits())
    }

    pub(in crate::train) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// The state of a training.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What the training is of, as [`Saving::about`] said.
    pub about: Value,
    pub(super) state: State,
    pub(super) arrays: Vec<(String, Array)>,
}

/// Numbers of a checkpoint.
#[derive(Debug, Clone)]
pub(super) enum Array {
    Numbers(Params),
    Bytes(Vec<u8>),
}

/// Why the bytes of a file are no checkpoint to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// They are those of another version's.
    Version(u32),
    /// They are not whole; how, in words.
    Damaged(String),
}

impl From<String> for Unfit {
    fn from(what: String) -> Self {
        Self::Damaged(what)
    }
}

/// What a file says besides its arrays.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    about: Value,
    state: State,
    /// The names of the arrays, in the order of the checksum.
    arrays: Vec<String>,
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[derive(Deserialize)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    document: &'a RawValue,
}

impl Checkpoint {
    /// The epoch under way, from 1 on, and the steps done in it.
    pub fn place(&self) -> [usize; 2] {
        [self.state.at.epoch, self.state.at.step]
    }

    /// The number of training rows.
    pub fn n_train(&self) -> usize {
        self.state.at.n_train
    }

    /// Gives up the place inside the epoch, which begins anew: for other rows than those it was begun with.
    pub fn begin_epoch_anew(&mut self) {
        self.state.at.begin_epoch(self.state.at.epoch);
    }

    /// The bytes of its file; takes twice their memory meanwhile.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        let failed = |what: String| Error::output(format!("a checkpoint cannot be written: {what}"), "");
        let stored: Vec<Stored> = self.arrays.into_iter().map(|(name, array)| array.stored(name)).collect();
        let names = stored.iter().map(|array| array.name.clone()).collect();
        let document = Document { about: self.about, state: self.state, arrays: names };
        let document = serde_json::to_string(&document).map_err(|e| failed(e.to_string()))?;
        let sha256 = checksum(&document, stored.iter().map(|array| &array.data[..]));
        let text =
            format!(r#"{{"format_version":{FORMAT_VERSION},"sha256":"{sha256}","document":{document}}}"#);
        let tensors = stored.iter().map(|array| Ok((array.name.clone(), array.view()?)));
        let tensors = tensors
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| failed(e.to_string()))?;
        safetensors::serialize(tensors, Some(HashMap::from([(METADATA_KEY.to_owned(), text)])))
            .map_err(|e| failed(e.to_string()))
    }

    /// Reads what the bytes of a file hold.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, Unfit> {
        let part = |e: safetensors::SafeTensorError| format!("it is no checkpoint, or a part of one ({e})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(part)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(part)?;
        let text = header.metadata().as_ref().and_then(|m| m.get(METADATA_KEY));
        let text = text.ok_or_else(|| format!("its metadata has no entry `{METADATA_KEY}`"))?;
        let unreadable = |e: serde_json::Error| format!("its description cannot be read: {e}");
        // Of a newer file nothing else is known.
        let version = serde_json::from_str::<Version>(text).map_err(unreadable)?.format_version;
        if version != FORMAT_VERSION {
            return Err(Unfit::Version(version));
        }
        let sealed: Sealed = serde_json::from_str(text).map_err(unreadable)?;
        let Document { about, state, arrays } =
            serde_json::from_str(sealed.document.get()).map_err(unreadable)?;
        if arrays.len() != tensors.len() {
            return Err(format!("it names {} arrays and holds {}", arrays.len(), tensors.len()).into());
        }
        let views = arrays.iter().map(|name| tensors.tensor(name).map_err(part));
        let views = views.collect::<std::result::Result<Vec<_>, String>>()?;
        if checksum(sealed.document.get(), views.iter().map(TensorView::data)) != sealed.sha256 {
            return Err("its checksum does not agree with its content".to_owned().into());
        }
        let read = |(name, view): (String, &TensorView)| match view.dtype() {
            Dtype::F32 => Ok((name, Array::Numbers(Params::F32(numbers(view.data()))))),
            Dtype::F64 => Ok((name, Array::Numbers(Params::F64(numbers(view.data()))))),
            Dtype::U8 => Ok((name, Array::Bytes(view.data().to_vec()))),
            other => Err(format!("its array `{name}` is of the type {other:?}")),
        };
        let arrays = arrays.into_iter().zip(&views).map(read);
        Ok(Self { about, state, arrays: arrays.collect::<std::result::Result<_, String>>()? })
    }

    /// The numbers named `name`; an error if there are not `n` of this type.
    pub(super) fn numbers<T: Scalar + 'static>(
        &self,
        name: &str,
        n: usize,
    ) -> std::result::Result<&[T], String> {
        let array = self.arrays.iter().find(|(known, _)| known == name).map(|(_, array)| array);
        let numbers = match array {
            Some(Array::Numbers(numbers)) => numbers.numbers::<T>(),
            _ => None,
        };
        match numbers {
            Some(numbers) if numbers.len() == n => Ok(numbers),
            Some(numbers) => Err(format!("it has {} numbers as `{name}`; expected {n}", numbers.len())),
            None => Err(format!("it has no `{name}` of the type expected")),
        }
    }

    /// How many doubles are named `name`.
    pub(super) fn n_doubles(&self, name: &str) -> usize {
        let array = self.arrays.iter().find(|(known, _)| known == name);
        array.map_or(0, |(_, array)| match array {
            Array::Numbers(Params::F64(numbers)) => numbers.len(),
            _ => 0,
        })
    }

    /// The bytes named `name`, if there are any.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.arrays.iter().find(|(known, _)| known == name).and_then(|(_, array)| match array {
            Array::Bytes(bytes) => Some(&bytes[..]),
            Array::Numbers(_) => None,
        })
    }
}

impl Array {
    fn stored(self, name: String) -> Stored {
        match self {
            Self::Numbers(Params::F32(numbers)) => stored::numbers(name, &[numbers.len()], &numbers),
            Self::Numbers(Params::F64(numbers)) => stored::numbers(name, &[numbers.len()], &numbers),
            Self::Bytes(data) => Stored { name, dtype: Dtype::U8, shape: vec![data.len()], data },
        }
    }
}

fn numbers<T: Stores>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect()
}

/// Where the state of a training is kept from time to time, and from which one it goes on.
pub struct Saving<'a> {
    /// Where training goes on; none to begin.
    pub from: Option<Checkpoint>,
    /// How long training goes on before the next checkpoint is taken, in the middle of an epoch if need be; 0 takes
    /// one at the end of every epoch.
    ///
    /// What takes long to copy is copied less often: copying takes no more than a fiftieth of the time, where epochs end a
    /// tenth.
    pub every: Duration,
    /// Whether one is taken when training has come to its end.
    pub at_end: bool,
    /// What the training is of: it stands in every checkpoint.
    pub about: Value,
    /// Takes a checkpoint. The second argument says that it has to be kept when the call returns; otherwise it may
    /// be written meanwhile, or left out for a later one. What went wrong since the last call is the error.
    pub keep: &'a mut dyn FnMut(Checkpoint, bool) -> Result<()>,
}

/// When the next checkpoint is due.
#[derive(Debug)]
pub(super) struct Timetable {
    every: Duration,
    last: Instant,
    /// What the last one took of the time of training.
    cost: Duration,
}

impl Timetable {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: Instant::now(), cost: Duration::ZERO }
    }

    /// Whether one is due, at the end of an epoch or within it.
    pub(super) fn is_due(&self, epoch_ends: bool) -> bool {
        if self.every.is_zero() {
            return epoch_ends;
        }
        let patience = if epoch_ends { PATIENCE_OF_EPOCHS } else { PATIENCE };
        self.last.elapsed() >= self.every.max(self.cost * patience)
    }

    /// One was taken, beginning at `begin`.
    pub(super) fn taken(&mut self, begin: Instant) {
        self.last = Instant::now();
        self.cost = begin.elapsed();
    }
}
