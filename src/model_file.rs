//! Model files: the tensors by name in the safetensors format, and in its metadata one JSON document. Nothing in a file is
//! ever run. Sizes are compared with what the file really holds before memory is taken.
//!
//! A file of one model (up to version 3) has its card in the document, and tensors as `layers.0.weight`. A file of
//! several members (version 4) has the list of their cards, and tensors as `members.0.layers.0.weight`.

use std::collections::HashMap;
use std::fmt::Write as _;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::bag::{Bag, BagCard};
use crate::error::{Error, Result};
use crate::model::{Card, Model, Params};
use crate::model_check::{check_card, check_layers};
use crate::nn::{Network, View};
use crate::stored::{self, Stored, Stores};

/// The newest version of the layout, that of several members (as 4 is); a newer one is refused.
const FORMAT_VERSION: u32 = 6;
/// That of one model: 2 brought binary and sparse weights, 3 the steps of preparation, 5 the parts of dates. Older ones are
/// read.
const SINGLE_VERSION: u32 = 5;
/// The entry of the file's metadata that describes the model.
const METADATA_KEY: &str = "statera";
/// The most members of a file.
pub(crate) const MOST_MEMBERS: usize = 1000;

/// The description in a file's metadata, as far as every version has it.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// The description in a file's metadata: the card or cards, and the checksum of them and of the tensors.
#[derive(Deserialize)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    card: &'a RawValue,
}

/// What the tensors of member `i` of `n` are called before their own names.
pub(crate) fn prefix(i: usize, n: usize) -> String {
    if n == 1 { String::new() } else { format!("members.{i}.") }
}

/// The bytes of the file of one model.
pub(crate) fn write_one(model: &Model) -> Result<Vec<u8>> {
    write(SINGLE_VERSION, &json(&model.card)?, &tensors(model, ""))
}

/// The bytes of the file of several members.
pub(crate) fn write_bag(bag: &Bag) -> Result<Vec<u8>> {
    let n = bag.members.len();
    let tensors = bag.members.iter().enumerate().flat_map(|(i, model)| tensors(model, &prefix(i, n)));
    write(FORMAT_VERSION, &json(&bag.card())?, &tensors.collect::<Vec<_>>())
}

fn json(card: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(card)
        .map_err(|e| Error::model(format!("the model cannot be written as JSON: {e}"), ""))
}

/// The tensors of a model, their names behind `prefix`.
fn tensors(model: &Model, prefix: &str) -> Vec<Stored> {
    fn of<T: Stores>(network: &Network, params: &[T]) -> Vec<Stored> {
        network.views().iter().flat_map(|view| stored::tensors(view, params)).collect()
    }
    let mut stored = match &model.params {
        Params::F32(params) => of(&model.network, params),
        Params::F64(params) => of(&model.network, params),
    };
    stored.iter_mut().for_each(|tensor| tensor.name.insert_str(0, prefix));
    stored
}

fn write(version: u32, card: &str, stored: &[Stored]) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for tensor in stored {
        let view = tensor.view().map_err(|e| Error::model(format!("tensor {}: {e}", tensor.name), ""))?;
        tensors.push((tensor.name.clone(), view));
    }
    let sha256 = checksum(card, stored.iter().map(|tensor| &tensor.data[..]));
    // One entry, not several: a map has no order, and the same model is the same bytes.
    let text = format!(r#"{{"format_version":{version},"sha256":"{sha256}","card":{card}}}"#);
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
    safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| Error::model(format!("the model cannot be written: {e}"), ""))
}

/// Reads what the bytes of a file hold; bytes that anyone may have made.
pub(crate) fn read(bytes: &[u8]) -> Result<Bag> {
    let damaged = |what: String| {
        Error::model(what, "give a run folder or its model.safetensors; a model that is damaged: train again")
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| {
        damaged(format!("expected a model file, found something else or a part of one ({e})"))
    })?;
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|e| damaged(format!("expected a whole model file, found a damaged one ({e})")))?;
    let metadata = header.metadata().as_ref();
    let text = metadata
        .and_then(|m| m.get(METADATA_KEY))
        .ok_or_else(|| damaged(format!("the file's metadata has no entry `{METADATA_KEY}`")))?;
    let unreadable = |e| damaged(format!("the description of the model cannot be read: {e}"));
    // The version comes first: of a newer file nothing else is known.
    let version = serde_json::from_str::<Version>(text).map_err(unreadable)?.format_version;
    if version > FORMAT_VERSION {
        return Err(Error::model(
            format!("the file has format version {version}; this Statera reads up to {FORMAT_VERSION}"),
            "install a newer Statera, or train again with this one",
        ));
    }
    let sealed: Sealed = serde_json::from_str(text).map_err(unreadable)?;
    let (cards, bag) = if matches!(version, 4 | FORMAT_VERSION) {
        let mut card: BagCard = serde_json::from_str(sealed.card.get()).map_err(unreadable)?;
        (std::mem::take(&mut card.members), Some(card))
    } else {
        (vec![serde_json::from_str::<Card>(sealed.card.get()).map_err(unreadable)?], None)
    };
    if bag.is_some() {
        check_members(&cards).map_err(damaged)?;
    }
    // What the layers ask for is compared with what the file holds before any of it is made.
    let has = |name: &str| tensors.tensor(name).is_ok();
    check_layers(&cards, bytes.len(), tensors.len(), &has).map_err(damaged)?;
    let mut networks = Vec::new();
    for card in &cards {
        let network = Network::from_specs(card.layers.clone(), card.n_inputs);
        check_card(card, &network).map_err(damaged)?;
        networks.push(network);
    }
    // Every tensor has to have exactly the shape that the layers ask for before memory is taken for them.
    let prefixes: Vec<String> = (0..cards.len()).map(|i| prefix(i, cards.len())).collect();
    let mut names = Vec::new();
    for (network, prefix) in networks.iter().zip(&prefixes) {
        for view in network.views() {
            names.extend(stored::names(view.kind(), &format!("{prefix}{}", view.name), has));
        }
    }
    if names.len() != tensors.len() {
        return Err(damaged(format!("expected {} tensors, found {}", names.len(), tensors.len())));
    }
    let parts = names.iter().filter_map(|name| tensors.tensor(name).ok());
    let is_right = checksum(sealed.card.get(), parts.map(|tensor| tensor.data())) == sealed.sha256;
    let mut found = Vec::new();
    for (network, prefix) in networks.iter().zip(&prefixes) {
        found.push(Found::of(network, &tensors, prefix).map_err(damaged)?);
    }
    if !is_right {
        return Err(damaged("the checksum does not agree with the content".into()));
    }
    let mut members = Vec::new();
    for ((card, network), found) in cards.into_iter().zip(networks).zip(found) {
        let params = found.params(network.views()).map_err(damaged)?;
        members.push(Model { card, network, params });
    }
    Ok(Bag::of_file(members, bag))
}

/// The tensors of one member, of exactly the types and shapes that its layers ask for.
struct Found<'f> {
    /// For each view.
    tensors: Vec<Vec<TensorView<'f>>>,
    /// Whether numbers are of 64 bits.
    is_wide: bool,
}

impl<'f> Found<'f> {
    /// Those in a file whose names begin with `prefix`; else what is wrong, in words. No memory is taken for numbers.
    fn of(network: &Network, file: &'f SafeTensors, prefix: &str) -> std::result::Result<Self, String> {
        let views = network.views();
        let has = |name: &str| file.tensor(name).is_ok();
        let names = |view: &View| stored::names(view.kind(), &format!("{prefix}{}", view.name), has);
        let mut dtypes =
            views.iter().flat_map(names).filter_map(|name| Some(file.tensor(&name).ok()?.dtype()));
        let first = dtypes.find(|dtype| matches!(dtype, Dtype::F32 | Dtype::F64));
        let is_wide = first == Some(Dtype::F64);
        let find = |view: &View| {
            if is_wide {
                stored::find::<f64>(view, prefix, file)
            } else {
                stored::find::<f32>(view, prefix, file)
            }
        };
        Ok(Self { tensors: views.iter().map(find).collect::<std::result::Result<_, _>>()?, is_wide })
    }

    fn params(&self, views: &[View]) -> std::result::Result<Params, String> {
        Ok(if self.is_wide { Params::F64(self.read(views)?) } else { Params::F32(self.read(views)?) })
    }

    fn read<T: Stores>(&self, views: &[View]) -> std::result::Result<Vec<T>, String> {
        let mut params = Vec::new();
        for (view, tensors) in views.iter().zip(&self.tensors) {
            stored::read(view, tensors, &mut params)?;
        }
        Ok(params)
    }
}

/// Whether the members of a bag predict the same thing of the same columns.
fn check_members(cards: &[Card]) -> std::result::Result<(), String> {
    let [first, others @ ..] = cards else { return Err("the bag has no members".into()) };
    if others.is_empty() || cards.len() > MOST_MEMBERS {
        return Err(format!("the bag has {} members, expected 2 to {MOST_MEMBERS}", cards.len()));
    }
    let said = |card: &Card| {
        let t = &card.target;
        (t.column.clone(), t.task, t.classes.clone(), card.null.clone(), card.schema.clone())
    };
    match others.iter().position(|card| said(card) != said(first)) {
        Some(i) => Err(format!(
            "member {} of the bag predicts something else than the first, or from other columns",
            i + 2
        )),
        None => Ok(()),
    }
}

/// SHA-256 of the card and the tensors, in hexadecimal.
pub(crate) fn checksum<'t>(card: &str, tensors: impl Iterator<Item = &'t [u8]>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(card.as_bytes());
    tensors.for_each(|tensor| hasher.update(tensor));
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
