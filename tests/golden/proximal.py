"""Writes proximal.json: L1 by proximal steps, in float64.

Made with scikit-learn 1.9.1, numpy 2.4.6.
    pip install scikit-learn==1.9.1 numpy==2.4.6
    python tests/golden/proximal.py

The problem is |y - Xw|^2 / n + l1 |w|_1 + l2 |w|^2 / 2 over 60 rows of 8 columns, 3 of which matter.

"minima" are its solutions by scikit-learn's coordinate descent, which knows nothing of steps: halved, the problem is
theirs with alpha * l1_ratio = l1 / 2 and alpha * (1 - l1_ratio) = l2 / 2.

"steps" are 50 steps of each optimiser, written out in numpy from the papers' equations; each is
followed by w <- sign(w) * max(|w| - h * l1, 0), where h is what the optimiser multiplies a lasting gradient by.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import ElasticNet

N, P, STEPS, L1, L2 = 60, 8, 50, 0.5, 0.1
rng = np.random.default_rng(20240607)
X = np.round(rng.normal(size=(N, P)), 6)
y = np.round(X @ np.array([1.5, 0, 0, -2.0, 0, 0.7, 0, 0]) + 0.5 * rng.normal(size=N), 6)
START = np.array([0.3, -0.7, 1.9, 0.05, -0.02, 0.4, 0.9, -1.1])


def gradient(w):
    return 2 / N * X.T @ (X @ w - y) + L2 * w


def soft(w, threshold):
    return np.sign(w) * np.maximum(np.abs(w) - threshold, 0)


def sgd(rate=0.05, momentum=0.0, nesterov=False, ema=False):
    u = np.zeros(P)

    def step(w, t):
        nonlocal u
        g = gradient(w)
        u = momentum * u + (1 - momentum if ema else 1) * g
        h = rate if ema else rate / (1 - momentum)
        return w - rate * (g + momentum * u if nesterov else u), h

    return step


def adam(rate=0.05, beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0, largest=False):
    m, v, top = np.zeros(P), np.zeros(P), np.zeros(P)

    def step(w, t):
        nonlocal m, v, top
        g = gradient(w)
        w = w - rate * decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        top = np.maximum(top, v)
        root = np.sqrt((top if largest else v) / (1 - beta2**t)) + epsilon
        return w - rate * m / (1 - beta1**t) / root, rate / root

    return step


def nadam(rate=0.05, beta1=0.9, beta2=0.999, epsilon=1e-8, psi=0.004):
    m, v, product = np.zeros(P), np.zeros(P), 1.0

    def step(w, t):
        nonlocal m, v, product
        g = gradient(w)
        now, following = (beta1 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
        product *= now
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        root = np.sqrt(v / (1 - beta2**t)) + epsilon
        direction = (1 - now) * g / (1 - product) + following * m / (1 - product * following)
        return w - rate * direction / root, rate / root

    return step


def adagrad(rate=0.3, epsilon=1e-8):
    s = np.zeros(P)

    def step(w, t):
        nonlocal s
        g = gradient(w)
        s = s + g * g
        return w - rate * g / (np.sqrt(s) + epsilon), rate / (np.sqrt(s) + epsilon)

    return step


def rmsprop(rate=0.02, rho=0.9, epsilon=1e-8, momentum=0.0, centered=False):
    v, a, u = np.zeros(P), np.zeros(P), np.zeros(P)

    def step(w, t):
        nonlocal v, a, u
        g = gradient(w)
        v = rho * v + (1 - rho) * g * g
        a = rho * a + (1 - rho) * g
        root = np.sqrt(v - a * a if centered else v) + epsilon
        u = momentum * u + g / root
        return w - rate * u, rate / root / (1 - momentum)

    return step


def adadelta(rate=1.0, rho=0.9, epsilon=1e-6):
    v, s = np.zeros(P), np.zeros(P)

    def step(w, t):
        nonlocal v, s
        g = gradient(w)
        v = rho * v + (1 - rho) * g * g
        d = np.sqrt(s + epsilon) / np.sqrt(v + epsilon) * g
        s = rho * s + (1 - rho) * d * d
        return w - rate * d, rate * np.sqrt(s + epsilon) / np.sqrt(v + epsilon)

    return step


def lion(rate=0.01, beta1=0.9, beta2=0.99, decay=0.0):
    m = np.zeros(P)

    def step(w, t):
        nonlocal m
        g = gradient(w)
        w = w - rate * decay * w - rate * np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        return w, rate

    return step


CASES = [
    ("sgd", sgd(), dict(learning_rate=0.05, momentum=0.0)),
    ("sgd", sgd(0.01, 0.9), dict(learning_rate=0.01)),
    ("sgd", sgd(0.01, 0.9, nesterov=True), dict(learning_rate=0.01, nesterov=True)),
    ("sgd", sgd(0.1, 0.9, ema=True), dict(learning_rate=0.1, momentum_form="ema")),
    ("adam", adam(), dict(learning_rate=0.05)),
    ("adamw", adam(decay=0.1), dict(learning_rate=0.05, weight_decay=0.1)),
    ("amsgrad", adam(largest=True), dict(learning_rate=0.05)),
    ("nadam", nadam(), dict(learning_rate=0.05)),
    ("adagrad", adagrad(), dict(learning_rate=0.3)),
    ("rmsprop", rmsprop(), dict(learning_rate=0.02, rho=0.9)),
    ("rmsprop", rmsprop(momentum=0.5), dict(learning_rate=0.02, rho=0.9, rmsprop_momentum=0.5)),
    ("rmsprop", rmsprop(centered=True), dict(learning_rate=0.02, rho=0.9, centered=True)),
    ("adadelta", adadelta(), dict(learning_rate=1.0, rho=0.9, adadelta_epsilon=1e-6)),
    ("lion", lion(), dict(learning_rate=0.01, weight_decay=0.0)),
]

steps = []
for name, step, settings in CASES:
    w, rows = START, []
    for t in range(1, STEPS + 1):
        w, h = step(w, t)
        w = soft(w, h * L1)
        rows.append(w.tolist())
    steps.append({"settings": {"name": name, "l1": L1, "l2": L2, **settings}, "steps": rows})

minima = []
for l1, l2 in [(0.5, 0.0), (0.5, 0.4), (1.5, 0.0), (0.05, 2.0)]:
    alpha = (l1 + l2) / 2
    model = ElasticNet(alpha=alpha, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, y)
    minima.append({"l1": l1, "l2": l2, "weight": model.coef_.tolist()})
    print(l1, l2, model.coef_)

out = {"x": X.tolist(), "y": y.tolist(), "start": START.tolist(), "steps": steps, "minima": minima}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(out) + "\n")
for case in steps:
    print(case["settings"], np.round(case["steps"][-1], 3))
