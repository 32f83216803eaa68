"""Writes metrics.json: scikit-learn's metrics on small fixed vectors, in float64.

Made with scikit-learn 1.9.1, numpy 2.4.6.
    pip install scikit-learn==1.9.1 numpy==2.4.6
    python tests/golden/metrics.py
"""

import json
import re
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m

REGRESSION = {
    "truth": [3.0, -0.5, 2.0, 7.0, 4.2, -1.3, 0.8, 10.0],
    "predictions": [2.5, 0.0, 2.1, 7.8, 3.6, -1.3, 1.9, 6.5],
}

# Scores are tied across the classes (0.4, twice) and within one (0.8); one is exactly 0.5.
BINARY = {
    "truth": [0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0],
    "scores": [0.1, 0.8, 0.4, 0.4, 0.35, 0.7, 0.05, 0.8, 0.4, 0.5, 0.2, 0.01],
}

# Class 3 is in the truth and never predicted.
MULTICLASS = {
    "truth": [0, 1, 2, 3, 0, 1, 2, 0, 1, 0],
    "probabilities": [
        [0.7, 0.1, 0.1, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.1, 0.6, 0.2, 0.1],
        [0.4, 0.3, 0.1, 0.2],
        [0.55, 0.25, 0.15, 0.05],
        [0.3, 0.35, 0.25, 0.1],
        [0.05, 0.15, 0.75, 0.05],
        [0.25, 0.2, 0.45, 0.1],
        [0.05, 0.85, 0.05, 0.05],
        [0.9, 0.05, 0.03, 0.02],
    ],
}


def regression():
    y, p = REGRESSION["truth"], REGRESSION["predictions"]
    return {
        **REGRESSION,
        "metrics": {
            "mse": m.mean_squared_error(y, p),
            "rmse": m.root_mean_squared_error(y, p),
            "mae": m.mean_absolute_error(y, p),
            "r2": m.r2_score(y, p),
            "median_ae": m.median_absolute_error(y, p),
            "mape": m.mean_absolute_percentage_error(y, p),
        },
    }


def binary():
    y, s = np.array(BINARY["truth"]), np.array(BINARY["scores"])
    c = (s >= 0.5).astype(int)
    return {
        **BINARY,
        "predicted": c.tolist(),
        "metrics": {
            "accuracy": m.accuracy_score(y, c),
            "balanced_accuracy": m.balanced_accuracy_score(y, c),
            "precision": m.precision_score(y, c),
            "recall": m.recall_score(y, c),
            "f1": m.f1_score(y, c),
            "f1_macro": m.f1_score(y, c, average="macro"),
            "roc_auc": m.roc_auc_score(y, s),
            "pr_auc": m.average_precision_score(y, s),
            "log_loss": m.log_loss(y, s),
            "brier": m.brier_score_loss(y, s),
            "mcc": m.matthews_corrcoef(y, c),
        },
        "confusion_matrix": m.confusion_matrix(y, c).tolist(),
    }


def multiclass():
    y, p = np.array(MULTICLASS["truth"]), np.array(MULTICLASS["probabilities"])
    c = p.argmax(1)
    assert np.allclose(p.sum(1), 1.0, rtol=0, atol=1e-12)
    return {
        **MULTICLASS,
        "predicted": c.tolist(),
        "metrics": {
            "accuracy": m.accuracy_score(y, c),
            "balanced_accuracy": m.balanced_accuracy_score(y, c),
            "precision_macro": m.precision_score(y, c, average="macro", zero_division=0),
            "recall_macro": m.recall_score(y, c, average="macro"),
            "f1_macro": m.f1_score(y, c, average="macro", zero_division=0),
            "roc_auc_ovr_macro": m.roc_auc_score(y, p, multi_class="ovr", average="macro"),
            "log_loss": m.log_loss(y, p),
            "brier": m.brier_score_loss(y, p),
            "mcc": m.matthews_corrcoef(y, c),
        },
        "confusion_matrix": m.confusion_matrix(y, c).tolist(),
    }


def dump(value):
    """Indented JSON with every innermost list on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    inner = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")
    return inner.sub(lambda x: "[" + re.sub(r",\s+", ", ", x[1]) + "]", text) + "\n"


if __name__ == "__main__":
    golden = {
        "made_by": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "notes": [
            "mape is a fraction, not a percentage",
            "binary: predicted is 1 where the score is at least 0.5; pr_auc is average precision",
            "multiclass: predicted is the most likely class; precision and f1 of a class never "
            "predicted are 0; brier sums the squared errors over the classes",
            "confusion_matrix has the truth in rows and the predictions in columns",
        ],
        "regression": regression(),
        "binary": binary(),
        "multiclass": multiclass(),
    }
    Path(__file__).with_suffix(".json").write_text(dump(golden))
