"""Writes losses.json: mean losses and their gradients, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/losses.py

The loss is the mean over the 7 rows; the gradient is that of this mean with respect to
the predictions (or logits). Huber is torch.nn.HuberLoss: 0.5 e^2 where |e| <= delta,
delta (|e| - 0.5 delta) beyond.

What torch has no function for is written in its tensors and differentiated by it: rmse,
log_cosh, the pinball loss, focal and hinge. A case with weights has the weighted mean, which
divides by the sum of the weights.
"""

import json
import math
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


COUNTS = [0.0, 1.0, 4.0, 2.0, 0.0, 3.0, 12.0]
LOG_RATES = [0.5, -1.25, 3.0, 2.0, -100.0, 0.1, 20.0]

WEIGHTS = [0.5, 2.0, 1.0, 0.0, 0.25, 3.0, 1.5]
CLASS_WEIGHTS = [0.5, 2.0, 1.0, 0.25, 3.0]


def pinball(q):
    return lambda x, y: (q * F.relu(y - x) + (1 - q) * F.relu(x - y)).mean()


def log_cosh(x, y):
    e = (x - y).abs()
    return (e + torch.log1p(torch.exp(-2 * e)) - math.log(2)).mean()


def poisson(x, y):
    return F.poisson_nll_loss(x, y, log_input=True, full=False)


def binary_focal(gamma):
    def loss(x, y):
        margin = (2 * y - 1) * x
        return (torch.sigmoid(-margin) ** gamma * F.softplus(-margin, threshold=1e9)).mean()
    return loss


def categorical_focal(gamma):
    def loss(x, y):
        log_p = F.log_softmax(x, dim=1)
        others = torch.ones_like(x).scatter(1, y[:, None], 0.0)
        q = (log_p.exp() * others).sum(1)
        return (q ** gamma * -log_p.gather(1, y[:, None])[:, 0]).mean()
    return loss


def smoothed_binary(epsilon):
    return lambda x, y: F.binary_cross_entropy_with_logits(x, (1 - epsilon) * y + epsilon / 2)


def hinge(x, y):
    return F.relu(1 - (2 * y - 1) * x).mean()


def weighted(loss):
    def mean(x, y):
        w = torch.tensor(WEIGHTS)
        return (w * loss(x, y, reduction="none")).sum() / w.sum()
    return mean


def case(name, settings, inputs, targets, loss, weights=None):
    x = torch.tensor(inputs, requires_grad=True)
    value = loss(x, torch.tensor(targets))
    value.backward()
    return {
        "loss_name": name,
        "settings": settings,
        "inputs": inputs,
        "targets": targets,
        **({} if weights is None else {"weights": weights}),
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
    case("rmse", {}, PREDICTIONS, TARGETS, lambda x, y: F.mse_loss(x, y).sqrt()),
    case("log_cosh", {}, PREDICTIONS, TARGETS, log_cosh),
    case("quantile", {"quantile": 0.9}, PREDICTIONS, TARGETS, pinball(0.9)),
    case("quantile", {"quantile": 0.25}, PREDICTIONS, TARGETS, pinball(0.25)),
    case("poisson", {}, LOG_RATES, COUNTS, poisson),
    case("binary_focal", {"gamma": 2.0}, BINARY_LOGITS, BINARY_TARGETS, binary_focal(2.0)),
    case("binary_focal", {"gamma": 0.5}, BINARY_LOGITS, BINARY_TARGETS, binary_focal(0.5)),
    case("categorical_focal", {"gamma": 2.0}, CATEGORICAL_LOGITS, CATEGORICAL_TARGETS,
         categorical_focal(2.0)),
    case("hinge", {}, BINARY_LOGITS, BINARY_TARGETS, hinge),
    case("smooth_binary_crossentropy", {"label_smoothing": 0.1}, BINARY_LOGITS, BINARY_TARGETS,
         smoothed_binary(0.1)),
    case("smooth_categorical_crossentropy", {"label_smoothing": 0.1}, CATEGORICAL_LOGITS,
         CATEGORICAL_TARGETS, lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1)),
    case("mse", {}, PREDICTIONS, TARGETS, weighted(F.mse_loss), WEIGHTS),
    case("rmse", {}, PREDICTIONS, TARGETS, lambda x, y: weighted(F.mse_loss)(x, y).sqrt(), WEIGHTS),
    case("binary_crossentropy", {"from_logits": True}, BINARY_LOGITS, BINARY_TARGETS,
         weighted(F.binary_cross_entropy_with_logits), WEIGHTS),
    # By class, as torch has it.
    case("categorical_crossentropy", {"from_logits": True}, CATEGORICAL_LOGITS, CATEGORICAL_TARGETS,
         lambda x, y: F.cross_entropy(x, y, weight=torch.tensor(CLASS_WEIGHTS)),
         [CLASS_WEIGHTS[c] for c in CATEGORICAL_TARGETS]),
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
            "with weights, loss is the weighted mean",
        ],
        "cases": CASES,
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
