//! Model files whose packed or compressed weights were made to do harm: refused, in memory that the file warrants.

use crate::cli;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use cli::cases::call_bounded;
use cli::{call, folder};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use statera::model::Model;

/// A tensor of a file: its type, shape and bytes.
type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// A model file that can be altered, and sealed again as an attacker would do it.
struct File {
    card: Value,
    tensors: BTreeMap<String, Tensor>,
    /// The order in which the checksum takes tensors: as the layers have them.
    order: Vec<String>,
}

/// What a tensor is called after its layer, in the order of a dense layer's tensors.
const PARTS: [&str; 7] =
    ["weight", "weight.signs", "weight.scales", "weight.starts", "weight.columns", "weight.values", "bias"];

impl File {
    /// A trained model with one layer of the kind between two others.
    fn trained(kind: &str) -> Self {
        let folder = folder();
        let kind = format!("weights.kind={kind}");
        let sets = ["network.hidden=[8,20]", &kind, "weights.first_and_last=continuous", "train.epochs=3"];
        let mut args = vec!["train", "t.csv", "--target", "y", "--out", "run"];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        if kind.ends_with("sparse") {
            args.extend(["--set", "weights.prune_begin=0", "--set", "weights.prune_end=1"]);
        }
        call(folder.path(), &args).done();
        let bytes = std::fs::read(folder.path().join("run/model.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let text = &header.metadata().as_ref().unwrap()["statera"];
        let description: Value = serde_json::from_str(text).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensors: BTreeMap<String, Tensor> = tensors
            .iter()
            .map(|(name, t)| (name.to_owned(), (t.dtype(), t.shape().to_vec(), t.data().to_vec())))
            .collect();
        let names = (0..9).flat_map(|i| PARTS.map(|part| format!("layers.{i}.{part}")));
        let order = names.filter(|name| tensors.contains_key(name)).collect();
        Self { card: description["card"].clone(), tensors, order }
    }

    /// The bytes of the file, its checksum that of what is in it.
    fn sealed(&self) -> Vec<u8> {
        let card = self.card.to_string();
        let mut hasher = Sha256::new();
        hasher.update(card.as_bytes());
        self.order.iter().filter_map(|name| self.tensors.get(name)).for_each(|t| hasher.update(&t.2));
        let hex = hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let text = format!(r#"{{"format_version":2,"sha256":"{hex}","card":{card}}}"#);
        let views = self.tensors.iter().map(|(name, (dtype, shape, data))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, Some([("statera".to_owned(), text)].into())).unwrap()
    }

    /// The same with one tensor altered.
    fn with(mut self, name: &str, alter: impl FnOnce(&mut Tensor)) -> Self {
        alter(self.tensors.get_mut(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.order)));
        self
    }
}

/// The file is refused with these words, in two gigabytes of address space, without a panic.
#[track_caller]
fn refused(file: &File, words: &str) {
    let folder = folder();
    std::fs::write(folder.path().join("f.safetensors"), file.sealed()).unwrap();
    let output = call_bounded(folder.path(), "predict f.safetensors t.csv -o out.csv");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(words) && error.contains("train again"), "{error}\n  lacks: {words}");
    assert!(output.stdout.is_empty() && !error.contains("panicked"), "{error}");
    assert!(!folder.path().join("out.csv").exists());
}

#[test]
fn what_is_only_sealed_again_is_read() {
    for kind in ["binary", "sparse"] {
        Model::from_bytes(&File::trained(kind).sealed()).unwrap();
    }
}

#[test]
fn signs_that_do_not_fit_are_refused() {
    let file = || File::trained("binary");
    let signs = "layers.2.weight.signs";
    // 8 inputs, 20 units: three bytes a row, of which the last four bits mean nothing.
    refused(&file().with(signs, |t| t.2[2] |= 0x80), "layers.2.weight.signs` has signs beyond its 20 units");
    let shorter = |t: &mut Tensor| {
        t.1 = vec![7, 3];
        t.2.truncate(21);
    };
    refused(&file().with(signs, shorter), "`layers.2.weight.signs`: expected shape [8, 3], found [7, 3]");
    let of_16_bits = |t: &mut Tensor| {
        (t.0, t.1) = (Dtype::U16, vec![8, 3]);
        t.2.extend([0; 24]);
    };
    refused(&file().with(signs, of_16_bits), "expected numbers of type U8, found U16");
    let fewer = |t: &mut Tensor| {
        t.1 = vec![19];
        t.2.truncate(76);
    };
    refused(&file().with("layers.2.weight.scales", fewer), "expected shape [20], found [19]");
    let mut without = file();
    without.tensors.remove(signs);
    refused(&without, "tensors");
    let mut dense = file();
    dense.card["layers"][2].as_object_mut().unwrap().remove("weights");
    refused(&dense, "tensors");
    let mut unknown = file();
    unknown.card["layers"][2]["weights"] = json!("ternary");
    refused(&unknown, "unknown variant `ternary`");
    // A bit of the file is a number in memory, not more.
    let mut huge = file();
    huge.card["layers"][2]["units"] = json!(4_000_000_000_000_000_000_u64);
    refused(&huge, "layers.2 (dense) asks for more than the file holds");
}

#[test]
fn compressed_rows_that_do_not_fit_are_refused() {
    let file = || File::trained("sparse");
    let (starts, columns) = ("layers.2.weight.starts", "layers.2.weight.columns");
    let n = file().tensors[columns].1[0];
    assert_eq!(n, 32, "a fifth of 8×20 weights");
    let rises = format!("tensor `{starts}` does not rise from 0 to 32");
    refused(&file().with(starts, |t| t.2[0] = 1), &rises);
    refused(&file().with(starts, |t| t.2[20] = 31), &rises);
    refused(&file().with(starts, |t| t.2[20] = 33), &rises);
    refused(&file().with(starts, |t| t.2[3] = 0xFF), &rises);
    refused(&file().with(starts, |t| (t.2[5], t.2[6]) = (20, 19)), &rises);
    let names = "does not name inputs below 8 in their order";
    refused(&file().with(columns, |t| t.2[31] = 8), names);
    refused(&file().with(columns, |t| t.2[0] = 0xFF), names);
    // All of a unit's inputs the same.
    refused(&file().with(columns, |t| t.2.fill(3)), names);
    let longer = |t: &mut Tensor| {
        t.1 = vec![33];
        t.2.push(7);
    };
    refused(&file().with(columns, longer), &format!("`{columns}`: expected shape [32], found [33]"));
    let wider = |t: &mut Tensor| {
        t.0 = Dtype::U16;
        t.2.extend([0; 32]);
    };
    refused(&file().with(columns, wider), "expected numbers of type U8, found U16");
    let square = |t: &mut Tensor| t.1 = vec![4, 8];
    refused(&file().with("layers.2.weight.values", square), "expected shape [32], found [4, 8]");
    let double = |t: &mut Tensor| {
        t.0 = Dtype::F64;
        t.2.extend([0; 128]);
    };
    refused(&file().with("layers.2.weight.values", double), "another number type than the others");
    let mut without = file();
    without.tensors.remove(starts);
    refused(&without, "tensors");
}

/// Rows without a weight take hardly a byte, but the numbers that they stand for would fill any memory.
#[test]
fn empty_rows_do_not_make_a_small_file_large() {
    const UNITS: usize = 100_000;
    let mut file = File::trained("sparse");
    let layers = file.card["layers"].as_array_mut().unwrap();
    let output = layers.pop().unwrap();
    let mut wide = layers[2].clone();
    wide["units"] = json!(UNITS);
    wide["bias"] = json!(false);
    layers.truncate(2);
    layers.extend([wide.clone(), wide, output]);
    let starts = |file: &mut File, i: usize| {
        let empty = |dtype, n, data| (dtype, vec![n], data);
        let name = |part: &str| format!("layers.{i}.weight.{part}");
        file.tensors.insert(name("starts"), empty(Dtype::U8, UNITS + 1, vec![0; UNITS + 1]));
        file.tensors
            .insert(name("columns"), empty(if i == 2 { Dtype::U8 } else { Dtype::U32 }, 0, Vec::new()));
        file.tensors.insert(name("values"), empty(Dtype::F32, 0, Vec::new()));
    };
    let output = ["weight", "bias"].map(|part| file.tensors.remove(&format!("layers.4.{part}")).unwrap());
    file.tensors.retain(|name, _| name.starts_with("layers.0"));
    starts(&mut file, 2);
    starts(&mut file, 3);
    for (part, mut tensor) in ["weight", "bias"].into_iter().zip(output) {
        if part == "weight" {
            tensor.1 = vec![UNITS, 1];
            tensor.2 = vec![0; 4 * UNITS];
        }
        file.tensors.insert(format!("layers.4.{part}"), tensor);
    }
    refused(&file, "layers.3 (dense) asks for more than the file holds");
}
