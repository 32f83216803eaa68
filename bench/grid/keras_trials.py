"""Trials of the insurance grid in Keras: `keras_trials.py PREPARED < TRIALS`, a trial a line as JSON, prints one line a trial.

The same prepared rows, seed, layers, distribution of initial weights, loss and callbacks as recipes/insurance-grid.toml. The
variable KERAS_BACKEND names the backend.
"""

import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers  # noqa: E402

SEED = 0


def network(n_inputs):
    def dense(units, activation=None):
        start = keras.initializers.HeNormal() if activation else keras.initializers.GlorotUniform()
        return layers.Dense(units, activation=activation, kernel_initializer=start)

    return keras.Sequential([
        layers.Input((n_inputs,)),
        layers.BatchNormalization(),
        dense(100, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        dense(100, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        dense(100, "relu"),
        layers.BatchNormalization(),
        dense(1),
    ])


def trial(settings, train, val, folder):
    keras.utils.set_random_seed(SEED)
    model = network(train[0].shape[1])
    assert model.count_params() == 22745
    kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    optimizer = kinds[settings["name"]](learning_rate=settings["learning_rate"])
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model.compile(optimizer=optimizer, loss="mse", metrics=[rmse])
    best = os.path.join(folder, "best.weights.h5")
    callbacks = [
        keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True, save_weights_only=True),
        keras.callbacks.ReduceLROnPlateau("val_rmse", factor=0.1, patience=5, min_lr=1e-7, min_delta=0, mode="min"),
        keras.callbacks.EarlyStopping("val_rmse", min_delta=0.001, patience=10, mode="min"),
        keras.callbacks.CSVLogger(os.path.join(folder, "log.csv")),
    ]
    begin = time.perf_counter()
    history = model.fit(
        *train, validation_data=val, epochs=settings["epochs"], batch_size=settings["batch_size"],
        callbacks=callbacks, verbose=0,
    )
    seconds = time.perf_counter() - begin
    found = [r for r in history.history["val_rmse"] if np.isfinite(r)]
    return {"seconds": seconds, "epochs": len(history.history["loss"]), "rmse": min(found) if found else None}


def main():
    with open(sys.argv[1]) as file:
        parts = json.load(file)
    train, val = ([np.asarray(parts[p]["x"], "float32"), np.asarray(parts[p]["y"], "float32")] for p in ("train", "val"))
    print(json.dumps({"version": f"keras {keras.__version__} ({keras.backend.backend()})"}), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(json.dumps(trial(json.loads(line), train, val, folder)), flush=True)


if __name__ == "__main__":
    main()
