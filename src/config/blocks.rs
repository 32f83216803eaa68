//! Whether residual blocks fit: y = x + f(x) asks for as many outputs of f as there are inputs.

use super::layers::LayerSpec;
use crate::error::{Error, Result};

/// Refuses a block without layers, and one that does not make as many features as enter it.
///
/// Without `n_inputs` only blocks behind a dense layer are compared: the width of what enters the others is not known.
pub(crate) fn check_blocks(layers: &[LayerSpec], n_inputs: Option<usize>) -> Result<()> {
    width_after(layers, n_inputs, "`network.layers`").map(|_| ())
}

/// The features of a row after `layers`, which `list` names; none where they are not known.
fn width_after(layers: &[LayerSpec], n_inputs: Option<usize>, list: &str) -> Result<Option<usize>> {
    let mut width = n_inputs;
    for (i, layer) in layers.iter().enumerate() {
        match layer {
            LayerSpec::Dense { units, .. } => width = Some(*units),
            LayerSpec::Residual { layers } => {
                let at = format!("{list}, layer {} (residual): `layers`", i + 1);
                if layers.is_empty() {
                    return Err(Error::setting(
                        format!("{at} lists none, and y = x + f(x) would double what enters"),
                        "list the layers of the block, or leave it out",
                    ));
                }
                let made = width_after(layers, width, &at)?;
                if let (Some(n_in), Some(n_out)) = (width, made)
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
                width = width.or(made);
            }
            _ => {}
        }
    }
    Ok(width)
}
