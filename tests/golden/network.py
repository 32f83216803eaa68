"""Writes network.json: one forward and backward pass of a small network, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/network.py

BatchNorm(3) -> Dense(3, 5) -> relu -> BatchNorm(5) -> Dense(5, 4) -> tanh -> Dense(4, 1),
mean squared error, 6 rows. Both batch norms have eps 1e-3 and torch's momentum 0.01
(running = 0.99 running + 0.01 batch; Keras calls this momentum 0.99).

torch normalises with the biased variance of the batch (divided by n) but puts the
unbiased one (divided by n - 1) into running_var. Keras puts in the biased one. Both
outcomes are written.
"""

import json
import re
from pathlib import Path

import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

EPS, MOMENTUM = 1e-3, 0.01

INPUTS = [
    [0.5, -1.2, 3.0],
    [1.5, 0.3, 2.0],
    [-0.7, 0.9, 4.5],
    [2.2, -0.4, 1.0],
    [0.1, 1.7, 3.3],
    [-1.4, 0.6, 2.7],
]
TARGETS = [[1.0], [-0.5], [0.3], [2.0], [-1.1], [0.7]]

# Dense weights are (in, out).
PARAMETERS = {
    "batch_norm_1": {"gamma": [1.1, 0.8, 1.3], "beta": [0.1, -0.2, 0.05]},
    "dense_1": {
        "weight": [
            [0.4, -0.3, 0.7, 0.2, -0.6],
            [-0.5, 0.6, 0.1, -0.8, 0.3],
            [0.3, 0.5, -0.4, 0.6, 0.9],
        ],
        "bias": [0.05, -0.1, 0.2, 0.15, -0.05],
    },
    "batch_norm_2": {"gamma": [0.9, 1.2, 1.0, 0.7, 1.4], "beta": [0.0, 0.1, -0.1, 0.2, -0.3]},
    "dense_2": {
        "weight": [
            [0.5, -0.2, 0.3, 0.1],
            [-0.4, 0.6, 0.2, -0.7],
            [0.8, 0.1, -0.5, 0.4],
            [-0.1, 0.9, 0.3, 0.2],
            [0.2, -0.6, 0.7, -0.3],
        ],
        "bias": [0.1, -0.05, 0.0, 0.2],
    },
    "dense_3": {"weight": [[0.7], [-0.9], [0.4], [1.1]], "bias": [0.25]},
}
LAYERS = ["batch_norm_1", "dense_1", "relu", "batch_norm_2", "dense_2", "tanh", "dense_3"]


def build():
    network = nn.Sequential(
        nn.BatchNorm1d(3, eps=EPS, momentum=MOMENTUM),
        nn.Linear(3, 5),
        nn.ReLU(),
        nn.BatchNorm1d(5, eps=EPS, momentum=MOMENTUM),
        nn.Linear(5, 4),
        nn.Tanh(),
        nn.Linear(4, 1),
    )
    for name, layer in zip(LAYERS, network):
        if name in PARAMETERS:
            values = PARAMETERS[name]
            weight = torch.tensor(values.get("weight", values.get("gamma")))
            bias = torch.tensor(values.get("bias", values.get("beta")))
            with torch.no_grad():
                layer.weight.copy_(weight.T if weight.ndim == 2 else weight)
                layer.bias.copy_(bias)
    return network


def main():
    network = build()
    inputs = torch.tensor(INPUTS, requires_grad=True)
    targets = torch.tensor(TARGETS)

    # What enters each layer, for the statistics of the batch and the distance to relu's corner.
    entering = {}
    for name, layer in zip(LAYERS, network):
        layer.register_forward_pre_hook(lambda _, x, name=name: entering.update({name: x[0].detach()}))

    network.train()
    predictions = network(inputs)
    loss = nn.functional.mse_loss(predictions, targets)
    loss.backward()
    assert entering["relu"].abs().min() > 1e-2

    gradients, running, batch = {}, {}, {}
    for name, layer in zip(LAYERS, network):
        if name.startswith("dense"):
            gradients[name] = {"weight": layer.weight.grad.T.tolist(), "bias": layer.bias.grad.tolist()}
        if name.startswith("batch_norm"):
            gradients[name] = {"gamma": layer.weight.grad.tolist(), "beta": layer.bias.grad.tolist()}
            x = entering[name]
            biased = x.var(0, unbiased=False)
            batch[name] = {
                "mean": x.mean(0).tolist(),
                "var_biased": biased.tolist(),
                "var_unbiased": x.var(0).tolist(),
            }
            running[name] = {
                "mean": layer.running_mean.tolist(),
                "var": layer.running_var.tolist(),
                "var_if_biased": ((1 - MOMENTUM) + MOMENTUM * biased).tolist(),
            }

    network.eval()
    with torch.no_grad():
        evaluated = network(inputs).tolist()
        for name, layer in zip(LAYERS, network):
            if name.startswith("batch_norm"):
                layer.running_var.copy_(torch.tensor(running[name]["var_if_biased"]))
        evaluated_if_biased = network(inputs).tolist()

    return {
        "made_by": {"torch": torch.__version__.split("+")[0]},
        "notes": [
            "float64; dense weights are (in, out), the transpose of torch's",
            "torch normalises a batch with its biased variance (divided by n) and puts the unbiased "
            "variance (divided by n - 1; 6/5 of the biased one here) into running_var",
            "var_if_biased and eval_predictions_if_biased are what a library that keeps the biased "
            "variance, as Keras does, must get",
            "running statistics start at mean 0 and variance 1; running = 0.99 running + 0.01 batch",
        ],
        "layers": LAYERS,
        "batch_norm": {"eps": EPS, "torch_momentum": MOMENTUM, "keras_momentum": 1 - MOMENTUM},
        "loss_name": "mse",
        "parameters": PARAMETERS,
        "inputs": INPUTS,
        "targets": TARGETS,
        "train_predictions": predictions.tolist(),
        "loss": loss.item(),
        "gradients": gradients,
        "input_gradient": inputs.grad.tolist(),
        "batch_statistics": batch,
        "running_statistics": running,
        "eval_predictions": evaluated,
        "eval_predictions_if_biased": evaluated_if_biased,
    }


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(dump(main()))
