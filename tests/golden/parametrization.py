"""Writes parametrization.json: a network with the parts of RealMLP, step by step, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/parametrization.py

The parts are those of Holzmueller, Grinsztajn & Steinwart 2024, "Better by default": a factor for each input; dense
layers with the neural tangent parametrisation, x W / sqrt(inputs) + b; parametric activations (1 - a) x + a f(x); and
learning rates of their own for factors, biases and shares, here as parameter groups of torch's optimisers. The loss is
the mean squared error. With relu the parametric activation is torch's prelu with the slope 1 - a below 0, which is
what the script calls for it.

Every case holds the parameters at the start, outputs, loss and gradients there, and the parameters after 25 steps of
the optimiser. A weight is (in, out); weight decay is that of weights alone.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

ROWS, INPUTS, HIDDEN, STEPS, RATE, DECAY = 9, 4, (6, 5), 25, 0.02, 0.1
SCALE_FACTOR, BIAS_FACTOR, SHARE_FACTOR = 6.0, 0.1, 0.3

generator = torch.Generator().manual_seed(7)


def draw(*shape):
    return torch.rand(shape, generator=generator) * 2 - 1


def parametric(function, x, share):
    if function == "relu":
        return F.prelu(x, 1 - share)
    f = {"mish": F.mish, "selu": F.selu, "tanh": torch.tanh, "softplus": F.softplus, "gelu": F.gelu}[function]
    return (1 - share) * x + share * f(x)


def network(function, p, x):
    x = x * p["layers.0.weight"]
    for i in range(len(HIDDEN)):
        w, b = p[f"layers.{2 * i + 1}.weight"], p[f"layers.{2 * i + 1}.bias"]
        x = parametric(function, x @ w / w.shape[0] ** 0.5 + b, p[f"layers.{2 * i + 2}.weight"])
    w, b = p[f"layers.{2 * len(HIDDEN) + 1}.weight"], p[f"layers.{2 * len(HIDDEN) + 1}.bias"]
    return x @ w / w.shape[0] ** 0.5 + b


def case(function, optimizer_name):
    p = {"layers.0.weight": draw(INPUTS) + 1}
    n_in = INPUTS
    for i, units in enumerate((*HIDDEN, 1)):
        p[f"layers.{2 * i + 1}.weight"] = 2 * draw(n_in, units)
        p[f"layers.{2 * i + 1}.bias"] = draw(units)
        if units != 1:
            p[f"layers.{2 * i + 2}.weight"] = draw(units) / 2 + 1
        n_in = units
    start = {name: tensor.tolist() for name, tensor in p.items()}
    p = {name: tensor.requires_grad_() for name, tensor in p.items()}
    x, target = draw(ROWS, INPUTS), draw(ROWS, 1)

    factor = {}
    for name, tensor in p.items():
        if name.endswith("bias"):
            factor[name] = BIAS_FACTOR
        elif tensor.dim() == 2:
            factor[name] = 1.0
        else:
            factor[name] = SCALE_FACTOR if name == "layers.0.weight" else SHARE_FACTOR
    decay = {name: DECAY if tensor.dim() == 2 and optimizer_name == "adamw" else 0.0 for name, tensor in p.items()}
    groups = [{"params": [p[n]], "lr": RATE * factor[n], "weight_decay": decay[n]} for n in p]
    optimizer = (
        torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
        if optimizer_name == "adamw"
        else torch.optim.SGD(groups, momentum=0.9)
    )
    first = {}
    for step in range(STEPS):
        optimizer.zero_grad()
        outputs = network(function, p, x)
        loss = F.mse_loss(outputs, target)
        loss.backward()
        if step == 0:
            first = {
                "outputs": outputs.flatten().tolist(),
                "loss": loss.item(),
                "gradients": {name: tensor.grad.tolist() for name, tensor in p.items()},
            }
        optimizer.step()
    return {
        "function": function,
        "optimizer": optimizer_name,
        "x": x.tolist(),
        "target": target.flatten().tolist(),
        "start": start,
        **first,
        "end": {name: tensor.tolist() for name, tensor in p.items()},
    }


cases = [case(f, o) for f in ["mish", "selu", "relu", "tanh", "softplus", "gelu"] for o in ["adamw", "sgd"]]
out = {
    "made_by": {"torch": torch.__version__.split("+")[0]},
    "hidden": HIDDEN,
    "steps": STEPS,
    "learning_rate": RATE,
    "weight_decay": DECAY,
    "lr_factors": {"scale": SCALE_FACTOR, "bias": BIAS_FACTOR, "share": SHARE_FACTOR},
}
lines = [f'"{key}": {json.dumps(value)}' for key, value in out.items()]
lines.append('"cases": [\n  ' + ",\n  ".join(map(json.dumps, cases)) + "\n ]")
path = Path(__file__).with_suffix(".json")
path.write_text("{\n " + ",\n ".join(lines) + "\n}\n")
