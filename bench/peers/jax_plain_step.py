"""Times one training step of the insurance network in JAX as its users write it, on one thread.

The same work as jax_step.py, which says the details, without that file's tuning: parameters
are a tree, dropout draws bernoulli masks in every step, Adam maps over the tree, and one
compiled call scans over one epoch. XLA's default vector width.

Prints one line of JSON: the best over repeats of time / steps, in microseconds.
"""

import os
import sys

# Before jax is imported: its thread pools take their size from these.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random, tree

ROWS, FEATURES, WIDTH = 936, 11, 100
RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
BN_EPS, BN_MOMENTUM = 1e-3, 0.99
REPEATS, SECONDS = 7, 0.5


def batch_norm(x, p, running):
    mean, var = x.mean(0), x.var(0)
    y = (x - mean) / jnp.sqrt(var + BN_EPS) * p["gamma"] + p["beta"]
    new = {
        "mean": BN_MOMENTUM * running["mean"] + (1 - BN_MOMENTUM) * mean,
        "var": BN_MOMENTUM * running["var"] + (1 - BN_MOMENTUM) * var,
    }
    return y, new


def init(key):
    widths = [FEATURES, WIDTH, WIDTH, WIDTH, 1]
    dense = []
    for i, o in zip(widths, widths[1:]):
        key, own = random.split(key)
        dense.append({"w": random.normal(own, (i, o)) * (2 / i) ** 0.5, "b": jnp.zeros(o)})
    norm = [{"gamma": jnp.ones(n), "beta": jnp.zeros(n)} for n in widths[:4]]
    running = [{"mean": jnp.zeros(n), "var": jnp.ones(n)} for n in widths[:4]]
    return {"dense": dense, "norm": norm}, running


def loss_of(params, running, x, y, key):
    after = []
    h, s = batch_norm(x, params["norm"][0], running[0])
    after.append(s)
    for k in range(3):
        h = jax.nn.relu(h @ params["dense"][k]["w"] + params["dense"][k]["b"])
        h, s = batch_norm(h, params["norm"][k + 1], running[k + 1])
        after.append(s)
        if k < 2:
            key, own = random.split(key)
            h = jnp.where(random.bernoulli(own, 0.5, h.shape), h / 0.5, 0.0)
    out = h @ params["dense"][3]["w"] + params["dense"][3]["b"]
    return jnp.mean((out - y) ** 2), after


def step(carry, batch):
    params, running, m, v, t, key = carry
    x, y = batch
    key, own = random.split(key)
    (value, running), g = jax.value_and_grad(loss_of, has_aux=True)(params, running, x, y, own)
    t = t + 1
    m = tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
    v = tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
    scale1, scale2 = 1 - BETA1**t, 1 - BETA2**t
    params = tree.map(
        lambda p, m, v: p - RATE * (m / scale1) / (jnp.sqrt(v / scale2) + EPS), params, m, v
    )
    return (params, running, m, v, t, key), value


def measure(batch):
    rng = np.random.default_rng(0)
    x_all = jnp.asarray(rng.standard_normal((ROWS, FEATURES)), jnp.float32)
    y_all = jnp.asarray(rng.standard_normal((ROWS, 1)), jnp.float32)
    params, running = init(random.key(0))
    zeros = tree.map(jnp.zeros_like, params)
    state = (params, running, zeros, zeros, jnp.float32(0), random.key(1))
    steps = ROWS // batch

    @jax.jit
    def epoch(state, order):
        rows = order[: steps * batch].reshape(steps, batch)
        return lax.scan(step, state, (x_all[rows], y_all[rows]))

    def call(state):
        state, losses = epoch(state, rng.permutation(ROWS))
        losses.block_until_ready()
        return state, losses

    state, first = call(state)
    state, _ = call(state)
    times = []
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            state, last = call(state)
            calls += 1
        times.append((time.perf_counter() - start) / (calls * steps) * 1e6)
    assert last.mean() < first.mean(), "the network does not learn"
    return round(min(times), 1)


if __name__ == "__main__":
    figures = {batch: measure(int(batch)) for batch in sys.argv[1:]}
    print(json.dumps({"peer": "jax", "version": jax.__version__, "threads": 1, "step_us": figures}))
