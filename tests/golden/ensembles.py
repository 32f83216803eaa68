"""Writes ensembles.json: outputs, losses and gradients of TabM and TabM-mini, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/ensembles.py

The networks are those of Gorishniy, Kotelnikov & Babenko 2024, "TabM", written in tensors (rows, members,
features) and differentiated by torch:
    TabM       each layer is BatchEnsemble (Wen, Tran & Ba 2020): f(s * ((r * x) W) + b), with one W for all members
               and r, s, b of each member;
    TabM-mini  one adapter r for each member on the inputs, and then layers f(x W + b) that all members share.
In both each member has an output layer of its own. The loss is the mean over rows and members of the loss of each
member's own output against the row's target. The prediction is the mean of the members' outputs, or of their
probabilities for classes.

Tensors are named by their place in the layers that the settings stand for: 0 hands the row to the members, 1 holds
the first r, and so on. A weight is (in, out); the factors and biases of members are (members, features).
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

ROWS, INPUTS, MEMBERS, HIDDEN, CLASSES = 6, 4, 3, (5, 7), 3

generator = torch.Generator().manual_seed(20241031)


def draw(*shape):
    return (torch.rand(shape, generator=generator) * 2 - 1).requires_grad_()


def tabm(n_outputs):
    """TabM: the tensors by name, and the network as a function of x (rows, inputs)."""
    p, layers, n_in, place = {}, [], INPUTS, 1
    for units in HIDDEN:
        r = p[f"layers.{place}.weight"] = draw(MEMBERS, n_in)
        w = p[f"layers.{place + 1}.weight"] = draw(n_in, units)
        s = p[f"layers.{place + 2}.weight"] = draw(MEMBERS, units)
        b = p[f"layers.{place + 2}.bias"] = draw(MEMBERS, units)
        layers.append((r, w, s, b))
        # Scale, dense, scale with bias, activation.
        n_in, place = units, place + 4
    head_w = p[f"layers.{place}.weight"] = draw(MEMBERS, n_in, n_outputs)
    head_b = p[f"layers.{place}.bias"] = draw(MEMBERS, n_outputs)

    def network(x):
        x = x[:, None, :].expand(-1, MEMBERS, -1)
        for r, w, s, b in layers:
            x = torch.tanh(((x * r) @ w) * s + b)
        return torch.einsum("bki,kio->bko", x, head_w) + head_b

    return p, network


def tabm_mini(n_outputs):
    """TabM-mini: the tensors by name, and the network as a function of x (rows, inputs)."""
    p, layers, n_in, place = {}, [], INPUTS, 2
    r = p["layers.1.weight"] = draw(MEMBERS, INPUTS)
    for units in HIDDEN:
        w = p[f"layers.{place}.weight"] = draw(n_in, units)
        b = p[f"layers.{place}.bias"] = draw(units)
        layers.append((w, b))
        n_in, place = units, place + 1
    head_w = p[f"layers.{place}.weight"] = draw(MEMBERS, n_in, n_outputs)
    head_b = p[f"layers.{place}.bias"] = draw(MEMBERS, n_outputs)

    def network(x):
        x = x[:, None, :] * r
        for w, b in layers:
            x = torch.tanh(x @ w + b)
        return torch.einsum("bki,kio->bko", x, head_w) + head_b

    return p, network


def case(kind, build, loss_name):
    n_outputs = {"mse": 1, "binary_crossentropy": 1, "categorical_crossentropy": CLASSES}[loss_name]
    parameters, network = build(n_outputs)
    x = draw(ROWS, INPUTS)
    outputs = network(x)
    if loss_name == "mse":
        target = draw(ROWS).detach()
        losses = F.mse_loss(outputs[..., 0], target[:, None].expand(-1, MEMBERS), reduction="none")
        prediction = outputs.mean(dim=1)
    elif loss_name == "binary_crossentropy":
        target = torch.randint(2, (ROWS,), generator=generator)
        own = target[:, None].expand(-1, MEMBERS).to(outputs.dtype)
        losses = F.binary_cross_entropy_with_logits(outputs[..., 0], own, reduction="none")
        prediction = torch.sigmoid(outputs).mean(dim=1)
    else:
        target = torch.randint(CLASSES, (ROWS,), generator=generator)
        own = target[:, None].expand(-1, MEMBERS)
        losses = F.cross_entropy(outputs.permute(0, 2, 1), own, reduction="none")
        prediction = torch.softmax(outputs, dim=2).mean(dim=1)
    loss = losses.mean()
    loss.backward()
    return {
        "kind": kind,
        "loss_name": loss_name,
        "x": x.tolist(),
        "target": target.tolist(),
        "parameters": {name: tensor.tolist() for name, tensor in parameters.items()},
        "outputs": outputs.tolist(),
        "loss": loss.item(),
        "prediction": prediction.tolist(),
        "gradients": {name: tensor.grad.tolist() for name, tensor in parameters.items()},
        "input_gradient": x.grad.tolist(),
    }


cases = [
    case(kind, build, loss_name)
    for kind, build in [("tabm", tabm), ("tabm_mini", tabm_mini)]
    for loss_name in ["mse", "binary_crossentropy", "categorical_crossentropy"]
]
made_by = {"torch": torch.__version__.split("+")[0]}
out = {"made_by": made_by, "n_members": MEMBERS, "hidden": HIDDEN, "activation": "tanh", "cases": cases}
path = Path(__file__).with_suffix(".json")
lines = [f'"{key}": {json.dumps(value)}' for key, value in out.items() if key != "cases"]
lines.append('"cases": [\n  ' + ",\n  ".join(map(json.dumps, cases)) + "\n ]")
path.write_text("{\n " + ",\n ".join(lines) + "\n}\n")
