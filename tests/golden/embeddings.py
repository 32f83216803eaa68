"""Writes embeddings.json: forward and backward passes of embeddings of raw columns, in float64.

Made with torch 2.15.0 and numpy 2.4.6 (run on the CPU).
    pip install torch==2.15.0 numpy==2.4.6
    python tests/golden/embeddings.py

The embeddings are written out by the formulas of their papers, gradients are torch's own:

- table: torch.nn.functional.embedding, a code beyond the last level gives zeros;
- plr (Gorishniy, Rubachev & Babenko 2022): relu([sin 2 pi c x, cos 2 pi c x] W + b);
- pbld (Holzmueller, Grinsztajn & Steinwart 2024): [cos(2 pi c x + phase) W + b, x];
- ple (Gorishniy et al. 2022, equation 1): piecewise-linear encoding over bins given by their edges, which are
  numpy's quantiles of the column, equal ones made one; with a dimension, relu(encoding W + b) after it.

The loss is sum(y * G) / rows with a fixed G, so that dL/dy is G / rows.
"""

import json
import math
import re
from pathlib import Path

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

ROWS = 7
X = [0.31, -1.27, 2.05, 0.0, -0.64, 1.5, 3.3]
CODES = [2, 0, 3, 1, 2, 2, 0]
LEVELS = 3


def numbers(shape, salt, scale=1.0):
    """Numbers without a pattern, to four digits."""
    generator = np.random.default_rng(salt)
    return np.round(generator.uniform(-scale, scale, shape), 4)


def encode(x, edges):
    """Equation 1: 0 before a bin, 1 after it, its share within; the first and the last bin go on without end."""
    columns = []
    last = len(edges) - 2
    for t in range(len(edges) - 1):
        inside = (x - edges[t]) / (edges[t + 1] - edges[t])
        column = inside
        if t > 0:
            column = torch.where(x < edges[t], torch.zeros_like(x), column)
        if t < last:
            column = torch.where(x >= edges[t + 1], torch.ones_like(x), column)
        columns.append(column)
    return torch.stack(columns, 1)


def case(name, spec, x, parameters, forward):
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in parameters.items()}
    inputs = torch.tensor(np.array(x, dtype=float), requires_grad=True)
    y = forward(inputs, tensors)
    direction = torch.tensor(numbers(tuple(y.shape), len(name)))
    loss = (y * direction).sum() / ROWS
    loss.backward()
    return {
        "name": name,
        "spec": spec,
        "x": inputs.tolist(),
        "parameters": {key: value.tolist() for key, value in tensors.items()},
        "y": y.tolist(),
        "direction": direction.tolist(),
        "gradients": {key: value.grad.tolist() for key, value in tensors.items()},
        "dx": [0.0] * ROWS if inputs.grad is None else inputs.grad.tolist(),
    }


def table(x, p):
    codes = x.detach().long()
    known = codes < LEVELS
    vectors = torch.nn.functional.embedding(codes.clamp(max=LEVELS - 1), p["weight"])
    return vectors * known[:, None]


def plr(x, p):
    v = 2 * math.pi * x[:, None] * p["frequencies"]
    return torch.relu(torch.cat([v.sin(), v.cos()], 1) @ p["weight"] + p["bias"])


def pbld(x, p):
    waves = torch.cos(2 * math.pi * x[:, None] * p["frequencies"] + p["phases"])
    return torch.cat([waves @ p["weight"] + p["bias"], x[:, None]], 1)


def main():
    column = np.array(numbers(41, 3, 4.0).tolist() + [1.25] * 16)
    edges = np.unique(np.quantile(column, np.linspace(0, 1, 9)))
    assert len(edges) < 9, "equal quantiles are made one"
    bins = len(edges) - 1

    def linear(width, dimension, salt):
        return {"weight": numbers((width, dimension), salt), "bias": numbers(dimension, salt + 1)}

    def named(kind, **more):
        return {"type": kind, "column": "c", **more}

    cases = [
        case(
            "table",
            named("table", levels=LEVELS, dimension=4),
            CODES,
            {"weight": numbers((LEVELS, 4), 11)},
            table,
        ),
        case(
            "plr",
            named("plr", frequencies=5, sigma=0.5, dimension=3),
            X,
            {"frequencies": numbers(5, 21, 0.8), **linear(10, 3, 22)},
            plr,
        ),
        case(
            "pbld",
            named("pbld", frequencies=4, sigma=0.5, dimension=3),
            X,
            {"frequencies": numbers(4, 31, 0.8), "phases": numbers(4, 32, 3.0), **linear(4, 2, 33)},
            pbld,
        ),
        case("ple", named("ple", bins=bins, dimension=0), X, {}, lambda x, p: encode(x, edges)),
        case(
            "ple_linear",
            named("ple", bins=bins, dimension=3),
            X,
            linear(bins, 3, 41),
            lambda x, p: torch.relu(encode(x, edges) @ p["weight"] + p["bias"]),
        ),
    ]
    for c in cases:
        if c["name"] in ("plr", "ple_linear"):
            zeros = sum(value == 0 for row in c["y"] for value in row)
            assert 0 < zeros < ROWS * 3, "relu is seen on both of its sides"
    return {
        "made_by": {"torch": torch.__version__.split("+")[0], "numpy": np.__version__},
        "rows": ROWS,
        "bins": {"column": column.tolist(), "n_bins": 8, "edges": edges.tolist()},
        "cases": cases,
    }


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(dump(main()))
