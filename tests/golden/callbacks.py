"""Keras's callbacks on scripted curves: tests/golden/callbacks.json.

Keras 3.12.0 with its numpy backend (KERAS_BACKEND=numpy), numpy 2.4. A curve is handed to each callback epoch by epoch, as
training would; nothing is trained. Epochs are counted from 1.

    python -m venv venv && venv/bin/pip install keras==3.12.0 numpy scipy jax
    venv/bin/python tests/golden/callbacks.py
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "numpy"
import keras
import numpy as np


class Optimizer:
    def __init__(self, rate):
        self.learning_rate = rate


class Model:
    """As much of a model as the callbacks ask for."""

    def __init__(self, rate):
        self.optimizer = Optimizer(rate)
        self.stop_training = False
        self.saved = []

    def get_weights(self):
        return []

    def set_weights(self, weights):
        pass

    def save_weights(self, path, overwrite):
        self.saved.append(Path(path).name)


def curves():
    rng = np.random.default_rng(7)
    epochs = np.arange(1, 81)
    falling = 1 / epochs
    yield "falling", falling
    yield "flat", np.full(40, 0.5)
    yield "rising", 0.1 * epochs
    yield "steps", np.floor(20 / epochs) / 10
    yield "noisy", 1 / epochs + 0.05 * rng.standard_normal(80)
    yield "waves", 1 + 0.3 * np.sin(epochs / 3) - 0.005 * epochs
    slow = 1 - 0.0004 * epochs
    yield "slow", slow
    broken = 1 / epochs + 0.02 * rng.standard_normal(80)
    broken[[5, 17, 18]] = np.nan
    yield "not a number here and there", broken


def stopped(curve, patience, min_delta, mode):
    callback = keras.callbacks.EarlyStopping(monitor="val", patience=patience, min_delta=min_delta, mode=mode)
    model = Model(1.0)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {"val": float(value)})
        if model.stop_training:
            return epoch + 1
    return None


def rates(curve, patience, min_delta, factor, floor):
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="val", factor=factor, patience=patience, min_delta=min_delta, min_lr=floor, cooldown=0, mode="min"
    )
    model = Model(0.01)
    callback.set_model(model)
    callback.on_train_begin()
    found = []
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {"val": float(value)})
        found.append(float(model.optimizer.learning_rate))
    return found


def saved(curve, mode):
    callback = keras.callbacks.ModelCheckpoint(
        "model-{epoch:02d}-{val:.2f}.weights.h5", monitor="val", mode=mode, save_best_only=True, save_weights_only=True
    )
    model = Model(0.01)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val": float(value)})
    return [name.removesuffix(".weights.h5") for name in model.saved]


def main():
    cases = []
    for name, curve in curves():
        case = {"name": name, "curve": [None if np.isnan(v) else float(v) for v in curve]}
        case["early_stopping"] = [
            {"patience": p, "min_delta": d, "mode": mode, "stopped": stopped(curve, p, d, mode)}
            for p in [1, 3, 10]
            for d in [0.0, 0.001, 0.05]
            for mode in ["min", "max"]
        ]
        case["reduce_on_plateau"] = [
            {"patience": p, "min_delta": d, "factor": f, "floor": low, "rates": rates(curve, p, d, f, low)}
            for p in [1, 5, 8]
            for d in [0.0, 0.01]
            for f, low in [(0.1, 1e-7), (0.5, 0.002)]
        ]
        case["best"] = {mode: saved(curve, mode) for mode in ["min", "max"]}
        cases.append(case)
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps({"keras": keras.__version__, "cases": cases}) + "\n")


main()
