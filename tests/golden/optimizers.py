"""Writes optimizers.json: the first 50 steps of every optimiser, in float64.

Made with torch 2.15.0 (run on the CPU), optax 0.2.8, jax 0.10.2, numpy 2.4.6.
    pip install torch==2.15.0 optax==0.2.8 jax==0.10.2 numpy==2.4.6
    python tests/golden/optimizers.py

Each case names its maker: "torch" for what torch.optim has; "optax" for the (1 - beta)
form of momentum, lion and schedule_free_adamw, which it has not.

Muon is torch.optim.Muon with one change: torch rounds the Newton-Schulz iteration to
bfloat16 whatever the dtype of the weights; here the same iteration stays in float64.
"""

import json
import re
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp
import numpy as np
import optax
import torch

# Also decides the dtype of scalars that torch keeps in an optimiser's state.
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

STEPS = 50

PROBLEMS = {
    "quadratic": {
        "f": "0.5 w'Aw - b'w",
        "gradient": "Aw - b",
        "a": [[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 3.0]],
        "b": [1.0, -2.0, 0.5],
        "start": [0.3, -0.7, 1.9],
    },
    "rosenbrock": {
        "f": "(1 - x)^2 + 100 (y - x^2)^2, w = (x, y)",
        "gradient": "(-2 (1 - x) - 400 x (y - x^2), 200 (y - x^2))",
        "start": [-1.2, 1.0],
    },
    "matrix_tall": {
        "f": "0.5 |AW - B|^2 (sum of squares), W has 4 rows and 3 columns",
        "gradient": "A'(AW - B)",
        "a": [
            [0.9, -0.4, 0.3, 0.1],
            [0.2, 1.1, -0.5, 0.4],
            [-0.6, 0.3, 0.8, -0.2],
            [0.5, 0.7, 0.2, 1.2],
            [-0.1, 0.6, -0.9, 0.3],
        ],
        "b": [[1.0, -0.5, 0.2], [0.3, 0.8, -1.1], [-0.7, 0.4, 0.6], [0.9, -1.3, 0.5], [0.1, 0.2, -0.4]],
        "start": [[0.5, -0.2, 0.1], [0.3, 0.7, -0.6], [-0.4, 0.2, 0.9], [0.8, -0.1, 0.4]],
    },
    "matrix_wide": {
        "f": "0.5 |AW - B|^2 (sum of squares), W has 3 rows and 4 columns",
        "gradient": "A'(AW - B)",
        "a": [[2.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 3.0]],
        "b": [[1.0, -0.5, 0.2, 0.7], [0.3, 0.8, -1.1, -0.2], [-0.7, 0.4, 0.6, 1.5]],
        "start": [[0.5, -0.2, 0.1, 0.9], [0.3, 0.7, -0.6, -0.8], [-0.4, 0.2, 0.9, 0.6]],
    },
}


def objective(name, np_like):
    """The problem's function, for torch or for jax.numpy."""
    if name == "rosenbrock":
        return lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    array = torch.tensor if np_like is torch else np_like.asarray
    a, b = array(PROBLEMS[name]["a"]), array(PROBLEMS[name]["b"])
    if name == "quadratic":
        return lambda w: 0.5 * (w @ (a @ w)) - b @ w
    return lambda w: 0.5 * ((a @ w - b) ** 2).sum()


def newton_schulz_float64(grad, ns_coefficients, ns_steps, eps):
    """torch.optim._muon._zeropower_via_newtonschulz without the rounding to bfloat16."""
    a, b, c = ns_coefficients
    x = grad.clone()
    tall = grad.size(0) > grad.size(1)
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


torch.optim._muon._zeropower_via_newtonschulz = newton_schulz_float64


def run_torch(problem, make):
    f = objective(problem, torch)
    w = torch.tensor(PROBLEMS[problem]["start"], requires_grad=True)
    optimizer = make([w])
    steps = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        f(w).backward()
        optimizer.step()
        steps.append(w.detach().tolist())
    return {"steps": steps}


def run_optax(problem, optimizer, schedule_free=False):
    gradient = jax.grad(objective(problem, jnp))
    w = jnp.asarray(PROBLEMS[problem]["start"])
    state = optimizer.init(w)
    out = {"steps": []}
    if schedule_free:
        out["eval_steps"] = []
    for _ in range(STEPS):
        updates, state = optimizer.update(gradient(w), state, w)
        w = optax.apply_updates(w, updates)
        assert w.dtype == jnp.float64
        out["steps"].append(np.asarray(w).tolist())
        if schedule_free:
            x = optax.contrib.schedule_free_eval_params(state, w)
            out["eval_steps"].append(np.asarray(x).tolist())
    return out


CASES = []


def case(maker, optimizer, problem, settings, rule, trajectory):
    for name, steps in trajectory.items():
        assert np.isfinite(steps).all(), (optimizer, problem, name)
    CASES.append(
        {
            "optimizer": optimizer,
            "made_by": maker,
            "settings": settings,
            "rule": rule,
            "problem": problem,
            **trajectory,
        }
    )


# The learning rates of plain and momentum descent that stay finite on each problem.
def sgd_lr(problem, momentum):
    if problem == "quadratic":
        return 0.1
    return 1e-4 if momentum else 1e-3


ADAM_RULE = (
    "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; "
    "w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)"
)

for problem in ("quadratic", "rosenbrock"):
    # sgd -----------------------------------------------------------------------------
    lr = sgd_lr(problem, False)
    case("torch", "sgd", problem, {"lr": lr, "momentum": 0.0, "nesterov": False},
         "w -= lr * g",
         run_torch(problem, lambda p: torch.optim.SGD(p, lr=lr)))
    lr = sgd_lr(problem, True)
    case("torch", "sgd", problem, {"lr": lr, "momentum": 0.9, "nesterov": False},
         "u = momentum * u + g, u starting at 0; w -= lr * u",
         run_torch(problem, lambda p: torch.optim.SGD(p, lr=lr, momentum=0.9)))
    case("torch", "sgd", problem, {"lr": lr, "momentum": 0.9, "nesterov": True},
         "u = momentum * u + g, u starting at 0; w -= lr * (g + momentum * u)",
         run_torch(problem, lambda p: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True)))
    ema_lr = sgd_lr(problem, False)
    case("optax", "sgd", problem,
         {"lr": ema_lr, "momentum": 0.9, "nesterov": False, "momentum_form": "ema"},
         "u = momentum * u + (1 - momentum) * g, u starting at 0, no bias correction; w -= lr * u",
         run_optax(problem, optax.chain(optax.ema(0.9, debias=False), optax.scale(-ema_lr))))

    # adam and its family -------------------------------------------------------------
    adam = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    args = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}
    case("torch", "adam", problem, {**adam, "weight_decay": 0.0}, ADAM_RULE,
         run_torch(problem, lambda p: torch.optim.Adam(p, **args)))
    case("torch", "adam", problem,
         {**adam, "weight_decay": 0.1, "weight_decay_kind": "coupled"},
         "g += weight_decay * w (the gradient of 0.5 * weight_decay * |w|^2), then " + ADAM_RULE,
         run_torch(problem, lambda p: torch.optim.Adam(p, **args, weight_decay=0.1)))
    case("torch", "adamw", problem,
         {**adam, "weight_decay": 0.1, "weight_decay_kind": "decoupled"},
         "w *= 1 - lr * weight_decay, with g taken before it, then " + ADAM_RULE,
         run_torch(problem, lambda p: torch.optim.AdamW(p, **args, weight_decay=0.1)))
    # A small beta2 lets v fall within 50 steps, so that the maximum is put to the test.
    for beta2 in (0.999, 0.7):
        case("torch", "amsgrad", problem, {**adam, "beta2": beta2, "weight_decay": 0.0},
             "m and v as in adam; vmax = max(vmax, v), before bias correction; "
             "w -= lr * (m / (1-b1^t)) / (sqrt(vmax) / sqrt(1-b2^t) + eps)",
             run_torch(problem, lambda p: torch.optim.Adam(
                 p, lr=0.01, betas=(0.9, beta2), eps=1e-8, amsgrad=True)))
    case("torch", "nadam", problem, {**adam, "weight_decay": 0.0, "momentum_decay": 0.004},
         "m and v as in adam; mu_t = b1 * (1 - 0.5 * 0.96^(t * momentum_decay)); P_t = mu_1 ... mu_t; "
         "w -= lr * ((1-mu_t) * g / (1-P_t) + mu_(t+1) * m / (1-P_(t+1))) / (sqrt(v / (1-b2^t)) + eps)",
         run_torch(problem, lambda p: torch.optim.NAdam(p, **args, momentum_decay=0.004)))

    # adagrad, rmsprop, adadelta --------------------------------------------------------
    case("torch", "adagrad", problem,
         {"lr": 0.1, "eps": 1e-10, "initial_accumulator": 0.0, "lr_decay": 0.0},
         "s += g^2; w -= lr * g / (sqrt(s) + eps)",
         run_torch(problem, lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-10)))
    rms = {"lr": 0.01, "rho": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False}
    case("torch", "rmsprop", problem, rms,
         "v = rho v + (1-rho) g^2, v starting at 0; w -= lr * g / (sqrt(v) + eps)",
         run_torch(problem, lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8)))
    case("torch", "rmsprop", problem, {**rms, "lr": 0.001, "momentum": 0.9},
         "v as without momentum; u = momentum * u + g / (sqrt(v) + eps); w -= lr * u",
         run_torch(problem, lambda p: torch.optim.RMSprop(
             p, lr=0.001, alpha=0.99, eps=1e-8, momentum=0.9)))
    case("torch", "rmsprop", problem, {**rms, "centered": True},
         "v as before; a = rho a + (1-rho) g; w -= lr * g / (sqrt(v - a^2) + eps)",
         run_torch(problem, lambda p: torch.optim.RMSprop(
             p, lr=0.01, alpha=0.99, eps=1e-8, centered=True)))
    case("torch", "adadelta", problem, {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
         "v = rho v + (1-rho) g^2; d = sqrt(s + eps) / sqrt(v + eps) * g; "
         "s = rho s + (1-rho) d^2; w -= lr * d; v and s start at 0",
         run_torch(problem, lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6)))

    # lion, schedule-free ---------------------------------------------------------------
    # Far enough on the quadratic for the signs to change.
    lion_lr = 0.05 if problem == "quadratic" else 0.01
    for decay in (0.0, 0.1):
        case("optax", "lion", problem,
             {"lr": lion_lr, "beta1": 0.9, "beta2": 0.99, "weight_decay": decay,
              "weight_decay_kind": "decoupled"},
             "w -= lr * (sign(b1 m + (1-b1) g) + weight_decay * w); then m = b2 m + (1-b2) g",
             run_optax(problem, optax.lion(lion_lr, b1=0.9, b2=0.99, weight_decay=decay)))
        case("optax", "schedule_free_adamw", problem,
             {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": decay,
              "weight_decay_kind": "decoupled", "warmup_steps": 0, "weight_lr_power": 2.0},
             "x = z = y = start; g is taken at y; v = b2 v + (1-b2) g^2; "
             "z -= lr * (g / (sqrt(v / (1-b2^t)) + eps) + weight_decay * y); "
             "x = (1-c) x + c z with c = lr^2 / (sum of lr^2 so far), so 1/t here; "
             "y = b1 x + (1-b1) z. steps holds y (trained on), eval_steps x (to be used)",
             run_optax(problem, optax.contrib.schedule_free_adamw(
                 0.01, b1=0.9, b2=0.999, eps=1e-8, weight_decay=decay), schedule_free=True))

for problem in ("matrix_tall", "matrix_wide"):
    for nesterov, decay in ((True, 0.0), (False, 0.0), (True, 0.1)):
        case("torch", "muon", problem,
             {"lr": 0.02, "momentum": 0.95, "nesterov": nesterov, "weight_decay": decay,
              "weight_decay_kind": "decoupled", "ns_steps": 5,
              "ns_coefficients": [3.4445, -4.775, 2.0315], "eps": 1e-7},
             "m = momentum * m + (1-momentum) * g; u = momentum * m + (1-momentum) * g if nesterov, "
             "else m; O = NS(u): X = u / max(|u|, eps) (Frobenius), transposed if it has more rows "
             "than columns, ns_steps times X = aX + (b G + c G G) X with G = XX', transposed back; "
             "w *= 1 - lr * weight_decay; w -= lr * sqrt(max(1, rows / columns)) * O. "
             "rows / columns is outputs / inputs of a layer: torch stores (out, in)",
             run_torch(problem, lambda p: torch.optim.Muon(
                 p, lr=0.02, weight_decay=decay, momentum=0.95, nesterov=nesterov, eps=1e-7)))


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    golden = {
        "made_by": {
            "torch": torch.__version__.split("+")[0],
            "optax": optax.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
        },
        "notes": [
            "float64 throughout; steps[0] is the weight after the first step; t counts from 1",
            "muon: torch rounds its Newton-Schulz iteration to bfloat16; here it stays in float64",
        ],
        "problems": PROBLEMS,
        "cases": CASES,
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
    print(len(CASES), "cases")
