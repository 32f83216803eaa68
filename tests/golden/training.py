"""Writes training.json: 50 steps of training a small network, in float64, by every optimiser and with everything that
happens to gradients, learning rates and weights around a step.

Made with torch 2.15.0 (run on the CPU), optax 0.2.8, jax 0.10.2, numpy 2.4.6.
    pip install torch==2.15.0 optax==0.2.8 jax==0.10.2 numpy==2.4.6
    python tests/golden/training.py

The network is tanh(x W0 + b0) W1 + b1 with 3 inputs, 4 hidden units and 1 output; the loss is the mean squared error
over all rows. Its gradients are those of torch.autograd, or of jax where the optimiser is optax's. Weights are written
(in, out), as Statera keeps them, one after the other with their biases: W0, b0, W1, b1.

What has no implementation in these libraries is written out here: the rates of inverse_time (as Keras's
InverseTimeDecay), coslog4 and flat_cos (Holzmueller, Grinsztajn & Steinwart 2024).
"""

import json
import math
import re
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

import jax.numpy as jnp
import numpy as np
import optax
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

STEPS = 50
KEPT = (1, 10, 50)
random = np.random.RandomState(7)
X = random.uniform(-2, 2, (12, 3)).round(3)
Y = (np.sin(X[:, 0]) - 0.5 * X[:, 1] * X[:, 2] + 0.3).round(3)
START = [random.normal(0, 0.7, shape).round(3) for shape in ((3, 4), (4,), (4, 1), (1,))]


def network():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with torch.no_grad():
        for parameter, start in zip(model.parameters(), START):
            # torch keeps a weight as (out, in).
            parameter.copy_(torch.tensor(start.T.copy()))
    return model


def flat(tensors):
    return [v for t in tensors for v in np.asarray(t).T.reshape(-1).tolist()]


def loss_of(model, rows=slice(None)):
    return ((model(torch.tensor(X[rows]))[:, 0] - torch.tensor(Y[rows])) ** 2).mean()


def parameters(model):
    return flat([p.detach().numpy() for p in model.parameters()])


def run_torch(make, change_gradients=None):
    """`make` gets the weights and the biases, and gives the optimisers."""
    model = network()
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    optimizers = make(weights, biases)
    losses, kept = [], {}
    for step in range(1, STEPS + 1):
        model.zero_grad()
        loss = loss_of(model)
        loss.backward()
        losses.append(loss.item())
        if change_gradients:
            change_gradients(model.parameters())
        for optimizer in optimizers:
            optimizer.step()
        if step in KEPT:
            kept[str(step)] = parameters(model)
    return {"losses": losses, "params": kept}


def run_optax(optimizer, schedule_free=False):
    def f(w):
        w0, b0, w1, b1 = w
        return ((((jnp.tanh(X @ w0 + b0)) @ w1 + b1)[:, 0] - Y) ** 2).mean()

    # flat() turns weights over, as torch's are.
    turned = lambda w: flat([np.asarray(t).T for t in w])
    w = [jnp.asarray(start) for start in START]
    state = optimizer.init(w)
    losses, kept, used = [], {}, {}
    for step in range(1, STEPS + 1):
        loss, gradient = jax.value_and_grad(f)(w)
        losses.append(float(loss))
        updates, state = optimizer.update(gradient, state, w)
        w = optax.apply_updates(w, updates)
        if step in KEPT:
            kept[str(step)] = turned(w)
            if schedule_free:
                used[str(step)] = turned(optax.contrib.schedule_free_eval_params(state, w))
    return {"losses": losses, "params": kept, **({"used": used} if schedule_free else {})}


def newton_schulz_float64(grad, ns_coefficients, ns_steps, eps):
    """torch.optim._muon._zeropower_via_newtonschulz without the rounding to bfloat16."""
    a, b, c = ns_coefficients
    x = grad.clone()
    tall = grad.size(0) > grad.size(1)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


torch.optim._muon._zeropower_via_newtonschulz = newton_schulz_float64

OPTIMIZERS = []


def case(name, settings, trajectory):
    assert np.isfinite(trajectory["losses"]).all(), name
    assert trajectory["losses"][-1] < trajectory["losses"][0], (name, trajectory["losses"])
    OPTIMIZERS.append({"name": name, "settings": settings, **trajectory})


def grouped(make, decay):
    """Weights decay, biases do not."""
    return lambda weights, biases: [
        make([{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}])
    ]


T = torch.optim
for nesterov in (False, True):
    case("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": nesterov},
         run_torch(grouped(lambda p: T.SGD(p, lr=0.05, momentum=0.9, nesterov=nesterov), 0.0)))
case("sgd", {"learning_rate": 0.1, "momentum": 0.0},
     run_torch(grouped(lambda p: T.SGD(p, lr=0.1), 0.0)))
case("sgd", {"learning_rate": 0.2, "momentum": 0.9, "momentum_form": "ema"},
     run_optax(optax.chain(optax.ema(0.9, debias=False), optax.scale(-0.2))))
case("sgd", {"learning_rate": 0.1, "momentum": 0.0, "l2": 0.05},
     run_torch(grouped(lambda p: T.SGD(p, lr=0.1), 0.05)))
adam = {"lr": 0.02, "betas": (0.9, 0.99), "eps": 1e-8}
ours = {"learning_rate": 0.02, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
case("adam", ours, run_torch(grouped(lambda p: T.Adam(p, **adam), 0.0)))
case("adam", {**ours, "l2": 0.05}, run_torch(grouped(lambda p: T.Adam(p, **adam), 0.05)))
case("adamw", {**ours, "weight_decay": 0.1}, run_torch(grouped(lambda p: T.AdamW(p, **adam), 0.1)))
case("amsgrad", ours, run_torch(grouped(lambda p: T.Adam(p, **adam, amsgrad=True), 0.0)))
case("nadam", {**ours, "momentum_decay": 0.004},
     run_torch(grouped(lambda p: T.NAdam(p, **adam, momentum_decay=0.004), 0.0)))
case("adagrad", {"learning_rate": 0.1, "epsilon": 1e-8},
     run_torch(grouped(lambda p: T.Adagrad(p, lr=0.1, eps=1e-8), 0.0)))
for centered, momentum in ((False, 0.0), (True, 0.9)):
    rate = 0.02 if momentum == 0.0 else 0.005
    case("rmsprop",
         {"learning_rate": rate, "rho": 0.9, "epsilon": 1e-8, "centered": centered, "rmsprop_momentum": momentum},
         run_torch(grouped(lambda p: T.RMSprop(p, lr=rate, alpha=0.9, eps=1e-8, centered=centered,
                                               momentum=momentum), 0.0)))
case("adadelta", {"learning_rate": 1.0, "rho": 0.9, "adadelta_epsilon": 1e-4},
     run_torch(grouped(lambda p: T.Adadelta(p, lr=1.0, rho=0.9, eps=1e-4), 0.0)))
is_weight = [True, False, True, False]
case("lion", {"learning_rate": 0.01, "beta1": 0.9, "lion_beta2": 0.99, "weight_decay": 0.1},
     run_optax(optax.lion(0.01, b1=0.9, b2=0.99, weight_decay=0.1, mask=is_weight)))
case("muon", {"learning_rate": 0.02, "muon_momentum": 0.95, "muon_nesterov": True, "muon_fallback": 0.05,
              "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8},
     run_torch(lambda weights, biases: [
         T.Muon(weights, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, eps=1e-7),
         T.AdamW(biases, lr=0.02 * 0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
     ]))
case("schedule_free_adamw", {**ours, "weight_decay": 0.0},
     run_optax(optax.contrib.schedule_free_adamw(0.02, b1=0.9, b2=0.99, eps=1e-8, weight_decay=0.0),
               schedule_free=True))

# What happens to gradients before a step -------------------------------------------------
plain = grouped(lambda p: T.SGD(p, lr=0.1), 0.0)
clipped = {
    "clip_value": {"by": 0.05, **run_torch(plain, lambda p: torch.nn.utils.clip_grad_value_(p, 0.05))},
    # By optax: torch adds 1e-6 to the norm that it divides by, which Pascanu et al. do not.
    "clip_norm": {"by": 0.2, **run_optax(optax.chain(optax.clip_by_global_norm(0.2), optax.sgd(0.1)))},
}

BOUNDS = [5, 7, 12]


def accumulated():
    """The gradients of batches of unlike sizes, added up by their rows before each step."""
    model = network()
    optimizer = T.Adam(model.parameters(), **adam)
    kept = {}
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        for begin, end in zip([0] + BOUNDS, BOUNDS):
            (loss_of(model, slice(begin, end)) * (end - begin) / len(X)).backward()
        optimizer.step()
        if step in KEPT:
            kept[str(step)] = parameters(model)
    return {"bounds": BOUNDS, "settings": ours, "params": kept}


# What becomes of weights after it ----------------------------------------------------------
def averaged(steps_per_epoch, start, average):
    """Trains by plain descent; `average` is updated after every `steps_per_epoch` steps from epoch `start` on."""
    model = network()
    optimizer = T.SGD(model.parameters(), lr=0.1)
    mean = average(model)
    kept = {}
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        if step % steps_per_epoch == 0 and step // steps_per_epoch >= start:
            mean.update_parameters(model)
        if step in KEPT and step >= start * steps_per_epoch:
            kept[str(step)] = parameters(mean.module)
    return kept


AveragedModel = torch.optim.swa_utils.AveragedModel


def ema(decay):
    # As TensorFlow's ExponentialMovingAverage with num_updates has it.
    def mean(old, new, n):
        d = min(decay, (1 + int(n)) / (10 + int(n)))
        return d * old + (1 - d) * new

    return lambda model: AveragedModel(model, avg_fn=mean)


averages = {
    "swa": {"steps_per_epoch": 5, "start": 2, "params": averaged(5, 2, AveragedModel)},
    "ema": {"decay": 0.7, "params": averaged(1, 1, ema(0.7))},
}

# Learning rates, as factors on that of the settings; 5 epochs of 10 steps ------------------
scheduler = torch.optim.lr_scheduler


def rates(make):
    optimizer = T.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return factors


def of(name, settings, factors):
    assert len(factors) == STEPS
    return {"settings": {"name": name, **settings}, "factors": factors}


def by_optax(schedule):
    return [float(schedule(step)) for step in range(STEPS)]


def flat_cos(t):
    return 1.0 if t < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * t - 1)))


schedules = [
    of("constant", {}, rates(lambda o: scheduler.ConstantLR(o, factor=1.0))),
    of("step", {"factor": 0.3, "every": 2.0}, rates(lambda o: scheduler.StepLR(o, 20, gamma=0.3))),
    of("exponential", {"factor": 0.3, "every": 2.0},
       rates(lambda o: scheduler.ExponentialLR(o, gamma=0.3 ** (1 / 20)))),
    of("inverse_time", {"decay": 0.5, "every": 2.0}, [1 / (1 + 0.5 * step / 20) for step in range(STEPS)]),
    of("polynomial", {"power": 2.0, "end": 0.0}, rates(lambda o: scheduler.PolynomialLR(o, STEPS, power=2.0))),
    of("polynomial", {"power": 1.5, "end": 0.1}, by_optax(optax.polynomial_schedule(1.0, 0.1, 1.5, STEPS))),
    of("cosine", {"end": 0.1}, rates(lambda o: scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1))),
    of("cosine", {"end": 0.1, "restarts": 4, "growth": 1.0},
       rates(lambda o: scheduler.CosineAnnealingWarmRestarts(o, 10, eta_min=0.1))),
    # Waves of 10 and 40 steps.
    of("cosine", {"end": 0.0, "restarts": 1, "growth": 4.0},
       rates(lambda o: scheduler.CosineAnnealingWarmRestarts(o, 10, T_mult=4))),
    of("one_cycle", {"rise": 0.3, "start": 0.04, "end": 0.01},
       by_optax(optax.cosine_onecycle_schedule(STEPS, 1.0, 0.3, 25.0, 4.0))),
    of("coslog4", {}, [0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * step / STEPS)))
                       for step in range(STEPS)]),
    of("flat_cos", {"end": 0.0}, [flat_cos(step / STEPS) for step in range(STEPS)]),
    # Ten steps up in a straight line, then the schedule over the forty that are left.
    of("cosine", {"end": 0.0, "warmup": 1.0}, rates(lambda o: scheduler.SequentialLR(
        o, [scheduler.LinearLR(o, start_factor=0.1, total_iters=9), scheduler.CosineAnnealingLR(o, 40)], [10]))),
]


# The cuts of a rate over epochs whose validation loss is this ------------------------------
def plateau():
    losses = [round(float(v), 4) for v in 1 / np.arange(1, 21) + 0.02 * np.cos(np.arange(20))]
    losses += [round(0.1 + 0.004 * float(v), 4) for v in np.sin(np.arange(30))]
    optimizer = T.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    # Keras counts the epoch of the cut in, torch does not.
    schedule = scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=3, threshold=0.001, threshold_mode="abs", min_lr=0.004, eps=0.0)
    rates = []
    for loss in losses:
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"learning_rate": 0.1, "factor": 0.5, "patience": 4, "min_delta": 0.001, "min_learning_rate": 0.004,
            "losses": losses, "rates": rates}


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    golden = {
        "made_by": {"torch": torch.__version__.split("+")[0], "optax": optax.__version__, "jax": jax.__version__,
                    "numpy": np.__version__},
        "x": X.reshape(-1).tolist(),
        "y": Y.tolist(),
        "start": [v for t in START for v in t.reshape(-1).tolist()],
        "optimizers": OPTIMIZERS,
        "clipped": clipped,
        "accumulated": accumulated(),
        "averages": averages,
        "schedules": schedules,
        "plateau": plateau(),
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
    print(len(OPTIMIZERS), "optimisers,", len(schedules), "schedules")
