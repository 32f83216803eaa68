"""Writes baselines.json: linear models on data/insurance.csv, in float64.

Made with scikit-learn 1.9.1, numpy 2.4.6, pandas 3.1.1.
    pip install scikit-learn==1.9.1 numpy==2.4.6 pandas==3.1.1
    python tests/golden/baselines.py

Rows 0 to 999 of the file train, rows 1000 to 1337 test.
"""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent.parent / "data" / "insurance.csv"
SHA256 = "388eff679557d08ac19f463d025de5e0b4adc482537c8456d19934d78621fd47"
TRAIN_ROWS = 1000
TOLERANCE = 2e-5
NUMBERS = ["age", "bmi", "children", "charges"]
LEVELS = {
    "sex": ["female", "male"],
    "smoker": ["no", "yes"],
    "region": ["northeast", "northwest", "southeast", "southwest"],
}

assert hashlib.sha256(TABLE.read_bytes()).hexdigest() == SHA256
ROWS = pd.read_csv(TABLE)


def features(target, standardise):
    """Numbers, then one column for every level of every text column; the target left out."""
    columns, names = [], []
    for name in NUMBERS:
        if name != target:
            x = ROWS[name].to_numpy(float)
            if standardise:
                train = x[:TRAIN_ROWS]
                x = (x - train.mean()) / train.std()
            columns.append(x)
            names.append(name)
    for name, levels in LEVELS.items():
        if name != target:
            for level in levels:
                columns.append((ROWS[name] == level).to_numpy(float))
                names.append(f"{name}={level}")
    return np.column_stack(columns), names


def split(x, y):
    return x[:TRAIN_ROWS], y[:TRAIN_ROWS], x[TRAIN_ROWS:], y[TRAIN_ROWS:]


def least_squares():
    x, names = features("charges", standardise=False)
    x, y, x_test, y_test = split(x, ROWS["charges"].to_numpy(float))
    model = LinearRegression().fit(x, y)
    predictions = model.predict(x_test)
    return {
        "model": "ordinary least squares with an intercept",
        "target": "charges",
        "features": names,
        "notes": [
            "numbers as they are, all levels one-hot: the columns are collinear, so the coefficients "
            "are not unique (these are the shortest, after centring) while the predictions are",
        ],
        "coefficients": model.coef_.tolist(),
        "intercept": model.intercept_,
        "test": {
            "rmse": root_mean_squared_error(y_test, predictions),
            "mae": mean_absolute_error(y_test, predictions),
            "r2": r2_score(y_test, predictions),
        },
        "first_5_test_predictions": predictions[:5].tolist(),
    }


def logistic(target):
    x, names = features(target, standardise=True)
    classes = LEVELS[target]
    labels = np.array([classes.index(level) for level in ROWS[target]])
    x, y, x_test, y_test = split(x, labels)
    # A tight tolerance, so that the numbers are the minimum's and not the solver's.
    model = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-12, max_iter=100_000).fit(x, y)
    probabilities = model.predict_proba(x_test)
    test = {
        "accuracy": accuracy_score(y_test, model.predict(x_test)),
        "log_loss": log_loss(y_test, probabilities),
    }
    if len(classes) == 2:
        test["roc_auc"] = roc_auc_score(y_test, probabilities[:, 1])
    else:
        test["roc_auc_ovr_macro"] = roc_auc_score(y_test, probabilities, multi_class="ovr", average="macro")
    # lbfgs stops a little short of the minimum; Newton's method says by how much.
    exact = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x, y)
    off = np.abs(model.coef_ - exact.coef_).max()
    assert off < TOLERANCE and np.abs(probabilities - exact.predict_proba(x_test)).max() < TOLERANCE
    print(f"{target}: lbfgs is within {off:.1e} of the minimum")
    return {
        "model": "logistic regression" if len(classes) == 2 else "multinomial logistic regression",
        "target": target,
        "classes": classes,
        "features": names,
        "notes": [
            "minimises 0.5 |w|^2 + C * (sum over rows of the cross-entropy), C = 1, the intercept free",
            "numbers standardised by mean and standard deviation (divided by n) of the training rows, "
            "all levels one-hot",
            f"lbfgs stops a little short: coefficients and probabilities are within {TOLERANCE} of the "
            "minimum's",
        ],
        "coefficients": model.coef_.tolist(),
        "intercept": model.intercept_.tolist(),
        "test": test,
        "first_5_test_probabilities": probabilities[:5].tolist(),
    }


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    golden = {
        "made_by": {
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "pandas": pd.__version__,
        },
        "data": {
            "file": "data/insurance.csv",
            "sha256": SHA256,
            "train_rows": "0 to 999",
            "test_rows": "1000 to 1337",
        },
        "ols": least_squares(),
        "logistic_smoker": logistic("smoker"),
        "logistic_region": logistic("region"),
    }
    (HERE / "baselines.json").write_text(dump(golden))
