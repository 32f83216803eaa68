//! Whether listed layers fit each other: residual blocks, whose y = x + f(x) asks for as many outputs of f as there are
//! inputs, and the members of an ensemble.

use super::choices::Activation;
use super::layers::LayerSpec;
use crate::error::{Error, Result};

/// Refuses a block without layers, one that does not make as many features as enter it, a second members layer or one
/// inside a block, and packed weights without members.
///
/// Without `n_inputs` only blocks behind a dense layer are compared: the width of what enters the others is not known.
pub(crate) fn check_blocks(layers: &[LayerSpec], n_inputs: Option<usize>) -> Result<()> {
    Reader { width: n_inputs, has_members: false }.read(layers, "`network.layers`", false)
}

/// What is known behind the layers that have been read.
struct Reader {
    /// Features of a row, or of each of its members; none where they are not known.
    width: Option<usize>,
    has_members: bool,
}

impl Reader {
    fn read(&mut self, layers: &[LayerSpec], list: &str, in_block: bool) -> Result<()> {
        for (i, layer) in layers.iter().enumerate() {
            let at = |kind: &str| format!("{list}, layer {} ({kind})", i + 1);
            match layer {
                LayerSpec::Dense { packed: true, .. } if !self.has_members => {
                    return Err(Error::setting(
                        format!("{}: `packed` = true, but no members layer stands before it", at("dense")),
                        "leave `packed` out, or put { type = \"members\", count = 8 } before it",
                    ));
                }
                LayerSpec::Dense { units, .. } => self.width = Some(*units),
                LayerSpec::ParametricActivation { function: Activation::Linear, .. } => {
                    return Err(Error::setting(
                        format!(
                            "{}: with `function` = \"linear\" y = x, whatever the share",
                            at("parametric_activation")
                        ),
                        "another function, as \"relu\", or leave the layer out",
                    ));
                }
                LayerSpec::Members { .. } if in_block || self.has_members => {
                    let why =
                        if in_block { "a block cannot make several rows of one" } else { "it is the second" };
                    return Err(Error::setting(
                        format!("{}: {why}", at("members")),
                        "one members layer, in `network.layers` itself",
                    ));
                }
                LayerSpec::Members { .. } => self.has_members = true,
                LayerSpec::Residual { layers } => {
                    self.read_block(layers, &(at("residual") + ": `layers`"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_block(&mut self, layers: &[LayerSpec], at: &str) -> Result<()> {
        if layers.is_empty() {
            return Err(Error::setting(
                format!("{at} lists none, and y = x + f(x) would double what enters"),
                "list the layers of the block, or leave it out",
            ));
        }
        let entered = self.width;
        self.read(layers, at, true)?;
        if let (Some(n_in), Some(n_out)) = (entered, self.width)
            && n_in != n_out
        {
            return Err(Error::setting(
                format!("{at} makes {n_out} features of {n_in}; y = x + f(x) needs as many"),
                format!(
                    "{{ type = \"dense\", units = {n_in} }} as the block's last layer, or \
                     {{ type = \"dense\", units = {n_out} }} before the block"
                ),
            ));
        }
        Ok(())
    }
}
