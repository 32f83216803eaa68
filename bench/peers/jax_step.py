"""Times one training step of the insurance network in JAX, on one thread.

    pip install -r bench/peers/requirements.txt
    python bench/peers/jax_step.py 8 32 256

BatchNorm(11) - Dense 100 relu - BatchNorm - Dropout 0.5 - Dense 100 relu - BatchNorm -
Dropout 0.5 - Dense 100 relu - BatchNorm - Dense 1; mean squared error; Adam, 1e-3;
float32; 936 random training rows, shuffled every epoch, whole batches only.

Written to be fast: one compiled call scans over 20 epochs, its arguments donated; all
parameters lie in one vector, so that Adam is one loop; dropout draws one random bit per
unit, once an epoch. Compiling is left out; the shuffling and the call are counted.

Prints one line of JSON: the best over repeats of time / steps, in microseconds.
"""

import os
import sys

# Before jax is imported: its thread pools take their size from these.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    "--xla_cpu_prefer_vector_width=512"
)
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

ROWS, FEATURES, WIDTH = 936, 11, 100
LEARNING_RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
BN_EPS, BN_MOMENTUM = 1e-3, 0.99
EPOCHS_PER_CALL = 20
REPEATS, SECONDS = 7, 0.6


def batch_norm(x, p, running):
    mean = x.mean(0)
    var = jnp.maximum((x * x).mean(0) - mean * mean, 0.0)
    y = (x - mean) * (lax.rsqrt(var + BN_EPS) * p["gamma"]) + p["beta"]
    keep = 1 - BN_MOMENTUM
    return y, (BN_MOMENTUM * running[0] + keep * mean, BN_MOMENTUM * running[1] + keep * var)


def parameters(rng):
    widths = (FEATURES, WIDTH, WIDTH, WIDTH)
    dense = [
        {
            "weight": jnp.asarray(rng.standard_normal((i, o)) * (2 / i) ** 0.5, jnp.float32),
            "bias": jnp.zeros(o),
        }
        for i, o in zip(widths, (WIDTH, WIDTH, WIDTH, 1))
    ]
    norm = [{"gamma": jnp.ones(n), "beta": jnp.zeros(n)} for n in widths]
    running = [(jnp.zeros(n), jnp.ones(n)) for n in widths]
    return {"dense": dense, "norm": norm}, running


def measure(batch):
    rng = np.random.default_rng(0)
    x_all = jnp.asarray(rng.standard_normal((ROWS, FEATURES)), jnp.float32)
    y_all = jnp.asarray(rng.standard_normal((ROWS, 1)), jnp.float32)
    tree, running = parameters(rng)
    flat, unravel = ravel_pytree(tree)
    assert flat.size == 22_123 and sum(a.size for s in running for a in s) == 622

    steps = ROWS // batch
    units = 2 * batch * WIDTH
    words = -(-units // 32)

    def loss(flat, running, x, y, kept):
        p = unravel(flat)
        after = []
        h, s = batch_norm(x, p["norm"][0], running[0])
        after.append(s)
        for k in range(3):
            h = jnp.maximum(h @ p["dense"][k]["weight"] + p["dense"][k]["bias"], 0.0)
            h, s = batch_norm(h, p["norm"][k + 1], running[k + 1])
            after.append(s)
            if k < 2:
                h = jnp.where(kept[k], h * 2.0, 0.0)
        out = h @ p["dense"][3]["weight"] + p["dense"][3]["bias"]
        return jnp.mean((out - y) ** 2), after

    def step(carry, row):
        flat, running, m, v, t = carry
        x, y, random = row
        bits = (random[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
        kept = (bits != 0).reshape(-1)[:units].reshape(2, batch, WIDTH)
        (value, running), g = jax.value_and_grad(loss, has_aux=True)(flat, running, x, y, kept)
        t = t + 1
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        flat = flat - LEARNING_RATE * (m / (1 - BETA1**t)) / (jnp.sqrt(v / (1 - BETA2**t)) + EPS)
        return (flat, running, m, v, t), value

    @partial(jax.jit, donate_argnums=0)
    def epochs(state, x_all, y_all, orders):
        def epoch(state, order):
            carry, key = state
            key, own = jax.random.split(key)
            random = jax.random.bits(own, (steps, words), jnp.uint32)
            carry, values = lax.scan(step, carry, (x_all[order], y_all[order], random))
            return (carry, key), values.mean()

        return lax.scan(epoch, state, orders)

    def call(state):
        orders = np.stack([rng.permutation(ROWS)[: steps * batch] for _ in range(EPOCHS_PER_CALL)])
        state, losses = epochs(state, x_all, y_all, orders.reshape(EPOCHS_PER_CALL, steps, batch))
        losses.block_until_ready()
        return state, losses

    carry = (flat, running, jnp.zeros_like(flat), jnp.zeros_like(flat), jnp.float32(0))
    state = (carry, jax.random.key(0))
    state, first = call(state)
    state, _ = call(state)

    times = []
    for _ in range(REPEATS):
        calls, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            state, last = call(state)
            calls += 1
        times.append((time.perf_counter() - start) / (calls * EPOCHS_PER_CALL * steps) * 1e6)
    assert last[-1] < first[0], "the network does not learn"
    return round(min(times), 1)


if __name__ == "__main__":
    batches = [int(a) for a in sys.argv[1:]] or [8, 32, 256]
    step_us = {str(batch): measure(batch) for batch in batches}
    print(json.dumps({"peer": "jax, tuned by hand", "version": jax.__version__, "threads": 1, "step_us": step_us}))
