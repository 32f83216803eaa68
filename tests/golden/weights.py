"""Writes weights.json: binary weights by a straight-through estimator, and a pruning schedule, in float64.

Made with torch 2.15.0 (run on the CPU).
    pip install torch==2.15.0
    python tests/golden/weights.py

"binary" is a network 5 -> 4 (binary, tanh) -> 3 (binary, tanh) -> 1 with the mean squared error of 6 rows. The weights used
are alpha * sign(w), alpha the mean of |w| over a unit's inputs. Torch differentiates all of it; the sign alone has a rule of
its own: the gradient passes where |w| <= 1 (BinaryConnect). "steps" are the parameters after steps of plain gradient descent
on latent weights, which are cut to -1..1 after each.

"schedules" are s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3 with s_i = 0 at t = t_0, t_0 + dt, ..., t_0 + n dt
(Zhu & Gupta 2017, equation 1), as pairs of t and s_t.

"pruned" is which of 12 weights are left at a share: those of the smallest size go, of equal ones the first.
"""

import json
import re
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.manual_seed(20240609)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return torch.where(w >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (w,) = ctx.saved_tensors
        return gradient * (w.abs() <= 1)


def binary(w):
    return w.abs().mean(dim=0) * Sign.apply(w)


def rounded(*shape, scale):
    return torch.round(torch.randn(*shape) * scale * 1e4) / 1e4


x, target = rounded(6, 5, scale=1.0), rounded(6, 1, scale=1.0)
# A few latent weights lie beyond 1, where no gradient passes but that of alpha.
params = [
    rounded(5, 4, scale=0.8),
    rounded(4, scale=0.3),
    rounded(4, 3, scale=0.8),
    rounded(3, scale=0.3),
    rounded(3, 1, scale=0.8),
    rounded(1, scale=0.3),
]


def loss_of(w1, b1, w2, b2, w3, b3):
    h = torch.tanh(x @ binary(w1) + b1)
    h = torch.tanh(h @ binary(w2) + b2)
    return ((h @ w3 + b3 - target) ** 2).mean()


def flat(tensors):
    return [v for tensor in tensors for v in tensor.flatten().tolist()]


RATE = 0.4
start = flat(params)
params = [p.requires_grad_() for p in params]
loss = loss_of(*params)
gradients = torch.autograd.grad(loss, params)
first = {"loss": loss.item(), "gradient": flat(gradients)}
steps = []
for _ in range(40):
    gradients = torch.autograd.grad(loss_of(*params), params)
    with torch.no_grad():
        for i, (p, g) in enumerate(zip(params, gradients)):
            p -= RATE * g
            if i in (0, 2):
                p.clamp_(-1, 1)
    steps.append(flat(params))
assert sum(abs(w) == 1 for w in steps[-1]) >= 3
used = flat([binary(p) if i in (0, 2) else p for i, p in enumerate(params)])


def schedule(s_f, t_0, n, dt):
    times = [t_0 + k * dt for k in range(n + 1)]
    return {
        "sparsity": s_f,
        "begin": t_0,
        "every": dt,
        "end": t_0 + n * dt,
        "cuts": [[t, s_f + (0.0 - s_f) * (1 - (t - t_0) / (n * dt)) ** 3] for t in times],
    }


weight = [0.5, -0.1, 0.3, -0.3, 0.0, 2.0, -0.05, 0.3, 0.7, -1.5, 0.2, 0.1]
pruned = []
for share in [0.25, 0.5, 0.8, 0.99]:
    n = min(int(share * len(weight) + 0.5), len(weight) - 1)
    gone = sorted(range(len(weight)), key=lambda i: abs(weight[i]))[:n]
    pruned.append({"share": share, "left": [int(i not in gone) for i in range(len(weight))]})

out = {
    "binary": {
        "x": flat([x]),
        "target": flat([target]),
        "start": start,
        **first,
        "rate": RATE,
        "steps": steps,
        "used": used,
    },
    "schedules": [schedule(0.8, 10, 40, 1), schedule(0.9, 0, 6, 5), schedule(0.55, 3, 4, 2)],
    "weight": weight,
    "pruned": pruned,
}
text = json.dumps(out, indent=1)
# Lists of numbers on one line.
text = re.sub(r"\[\s+([-\d.e,\s+]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
(Path(__file__).parent / "weights.json").write_text(text + "\n")
