"""Writes losses.json: mean losses and their gradients, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/losses.py

The loss is the mean over the 7 rows; the gradient is that of this mean with respect to
the predictions (or logits). Huber is torch.nn.HuberLoss: 0.5 e^2 where |e| <= delta,
delta (|e| - 0.5 delta) beyond.
"""

import json
import re
from pathlib import Path

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

# One row meets its target exactly, one is off by exactly 1 (huber's delta).
PREDICTIONS = [0.5, -1.25, 3.0, 2.0, -100.0, 0.1, 7.5]
TARGETS = [0.0, -1.0, 3.0, 1.0, 100.0, -0.3, 4.25]

# Logits of 100 both with and against their target, and targets between 0 and 1.
BINARY_LOGITS = [0.3, -2.0, 100.0, 100.0, -100.0, -100.0, 0.0]
BINARY_TARGETS = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0]
BINARY_SOFT_TARGETS = [0.9, 0.1, 0.95, 0.05, 0.2, 0.75, 0.5]

CATEGORICAL_LOGITS = [
    [0.2, -1.0, 0.5, 2.0, -0.3],
    [100.0, 0.0, 0.0, 0.0, 0.0],
    [100.0, 0.0, -100.0, 50.0, 1.0],
    [-100.0, -100.0, -100.0, -100.0, -100.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [100.0, 100.0, -100.0, 99.0, -1.0],
    [-3.0, 1.5, 0.7, -0.2, 4.0],
]
CATEGORICAL_TARGETS = [3, 0, 2, 4, 1, 1, 0]


def case(name, settings, inputs, targets, loss):
    x = torch.tensor(inputs, requires_grad=True)
    value = loss(x, torch.tensor(targets))
    value.backward()
    return {
        "loss_name": name,
        "settings": settings,
        "inputs": inputs,
        "targets": targets,
        "loss": value.item(),
        "grad": x.grad.tolist(),
    }


CASES = [
    case("mse", {}, PREDICTIONS, TARGETS, F.mse_loss),
    case("mae", {}, PREDICTIONS, TARGETS, F.l1_loss),
    case("huber", {"delta": 1.0}, PREDICTIONS, TARGETS, lambda x, y: F.huber_loss(x, y, delta=1.0)),
    case("binary_crossentropy", {"from_logits": True}, BINARY_LOGITS, BINARY_TARGETS,
         F.binary_cross_entropy_with_logits),
    case("binary_crossentropy", {"from_logits": True}, BINARY_LOGITS, BINARY_SOFT_TARGETS,
         F.binary_cross_entropy_with_logits),
    case("categorical_crossentropy", {"from_logits": True}, CATEGORICAL_LOGITS, CATEGORICAL_TARGETS,
         F.cross_entropy),
]


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    golden = {
        "made_by": {"torch": torch.__version__.split("+")[0]},
        "notes": [
            "float64; loss is the mean over rows, grad its gradient by inputs",
            "mae has gradient 0 where the prediction equals the target",
            "categorical targets are class numbers from 0",
        ],
        "cases": CASES,
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
