"""Writes lbfgs.json: where L-BFGS ends on a quadratic, on Rosenbrock and on a small network, in float64.

Made with torch 2.15.0 (run on the CPU), scipy 1.17.1, numpy 2.4.6.
    pip install torch==2.15.0 scipy==1.17.1 numpy==2.4.6
    python tests/golden/lbfgs.py

Two makers for each problem: torch.optim.LBFGS with its strong-Wolfe line search, and scipy's L-BFGS-B. Paths differ
(each has a line search of its own), so what is written is the end: the value, the largest component of the gradient
and the parameters.
"""

import json
import re
from pathlib import Path

import numpy as np
import scipy
import scipy.optimize
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

A = [[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 3.0]]
B = [1.0, -2.0, 0.5]

# Twenty rows of three inputs, a target, and a start, all from formulas that any language can repeat.
N_ROWS, N_INPUTS, N_HIDDEN, L2 = 20, 3, 4, 0.05


def wave(n, speed, shift):
    return [float(np.sin(speed * i + shift)) for i in range(n)]


INPUTS = np.array(wave(N_ROWS * N_INPUTS, 1.7, 0.3)).reshape(N_ROWS, N_INPUTS).round(6)
TARGETS = (INPUTS[:, 0] * INPUTS[:, 1] + 0.5 * INPUTS[:, 2]).round(6)
SHAPES = [("layers.0.weight", (N_INPUTS, N_HIDDEN)), ("layers.0.bias", (N_HIDDEN,)),
          ("layers.1.weight", (N_HIDDEN, 1)), ("layers.1.bias", (1,))]
N_PARAMS = sum(int(np.prod(shape)) for _, shape in SHAPES)
NETWORK_START = [round(0.8 * v, 6) for v in wave(N_PARAMS, 2.3, 1.1)]


def quadratic(w):
    return 0.5 * (w @ (torch.tensor(A) @ w)) - torch.tensor(B) @ w


def rosenbrock(w):
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def network(w):
    """mse of tanh(x W0 + b0) W1 + b1, plus L2/2 times the squares of the weights, not of the biases."""
    parts, at = [], 0
    for _, shape in SHAPES:
        n = int(np.prod(shape))
        parts.append(w[at : at + n].reshape(shape))
        at += n
    w0, b0, w1, b1 = parts
    y = (torch.tanh(torch.tensor(INPUTS) @ w0 + b0) @ w1 + b1)[:, 0]
    return ((y - torch.tensor(TARGETS)) ** 2).mean() + 0.5 * L2 * ((w0**2).sum() + (w1**2).sum())


PROBLEMS = {
    "quadratic": (quadratic, [0.3, -0.7, 1.9]),
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "network": (network, NETWORK_START),
}


def with_gradient(f, w):
    w = torch.tensor(w, requires_grad=True)
    value = f(w)
    value.backward()
    return float(value.detach()), w.grad.numpy().copy()


def by_scipy(f, start):
    options = {"maxcor": 10, "maxiter": 5000, "ftol": 0.0, "gtol": 1e-10}
    found = scipy.optimize.minimize(lambda w: with_gradient(f, w), start, jac=True, method="L-BFGS-B", options=options)
    return found.x


def by_torch(f, start):
    w = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=5000, tolerance_grad=1e-10, tolerance_change=0.0,
                                  history_size=10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = f(w)
        value.backward()
        return value

    optimizer.step(closure)
    return w.detach().numpy()


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    cases = []
    for name, (f, start) in PROBLEMS.items():
        for maker, run in (("scipy", by_scipy), ("torch", by_torch)):
            end = run(f, start)
            value, gradient = with_gradient(f, np.array(end))
            cases.append({"problem": name, "made_by": maker, "start_value": with_gradient(f, np.array(start))[0],
                          "start": start, "value": value,
                          "gradient_norm": float(np.abs(gradient).max()), "end": [float(v) for v in end]})
            print(name, maker, value, np.abs(gradient).max())
    golden = {
        "made_by": {"torch": torch.__version__.split("+")[0], "scipy": scipy.__version__, "numpy": np.__version__},
        "notes": ["float64 throughout; gradient_norm is the largest absolute component"],
        "quadratic": {"f": "0.5 w'Aw - b'w", "a": A, "b": B},
        "network": {
            "f": "mse of tanh(x W0 + b0) W1 + b1, plus l2/2 times the sum of squared weights",
            "l2": L2,
            "tensors": [{"name": name, "shape": list(shape)} for name, shape in SHAPES],
            "inputs": INPUTS.tolist(),
            "targets": TARGETS.tolist(),
        },
        "cases": cases,
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
