"""Writes pipeline.json: a table prepared by scikit-learn, in float64.

Made with scikit-learn 1.9.1.
    pip install scikit-learn==1.9.1
    python tests/golden/pipeline.py

The table is data/insurance.csv with some cells changed, so that columns have missing cells and a
held-out row has a category that no training row has. Everything is fitted on the rows 0 to 999
and applied to a few of the others and to one of them.
"""

import csv
import json
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

NUMBERS = ["age", "bmi", "children"]
CATEGORIES = ["sex", "smoker", "region"]
TRAIN = 1000
ROWS = [3, 1000, 1001, 1002, 1003, 1200, 1337]
EDITS = [[row, "bmi", ""] for row in range(3, 1000, 37)]
EDITS += [[row, "children", "NA"] for row in range(5, 1000, 3)]
EDITS += [[1001, "bmi", ""], [1002, "children", ""], [1002, "age", ""], [1003, "region", "atlantis"]]

source = Path(__file__).parents[2] / "data" / "insurance.csv"
with open(source, newline="", encoding="utf-8") as file:
    table = list(csv.DictReader(file))
for row, column, cell in EDITS:
    table[row][column] = cell


def number(cell):
    return float(cell) if cell not in ("", "NA") else np.nan


numbers = np.array([[number(row[name]) for name in NUMBERS] for row in table])
categories = np.array([[row[name] for name in CATEGORIES] for row in table], dtype=object)


def prepared(impute, scaler):
    """A column transformer's output for ROWS, with the features of each column side by side."""
    blocks = {}
    for at, name in enumerate(NUMBERS):
        column = numbers[:, [at]]
        steps = make_pipeline(SimpleImputer(strategy=impute), scaler())
        features = [steps.fit(column[:TRAIN]).transform(column[ROWS])]
        if np.isnan(column[:TRAIN]).any():
            features.append(np.isnan(column[ROWS]).astype(float))
        blocks[name] = np.hstack(features)
    for at, name in enumerate(CATEGORIES):
        column = categories[:, [at]]
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        blocks[name] = encoder.fit(column[:TRAIN]).transform(column[ROWS])
    order = [name for name in table[0] if name in blocks]
    return np.hstack([blocks[name] for name in order]).tolist()


def checked():
    """The same through one ColumnTransformer and SimpleImputer's own indicator, to compare with."""
    steps = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), MinMaxScaler())
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    whole = ColumnTransformer([("n", steps, [0, 1, 2]), ("c", encoder, [3, 4, 5])])
    both = np.hstack([numbers.astype(object), categories])
    return whole.fit(both[:TRAIN]).transform(both[ROWS]).astype(float)


cases = [
    {"impute": "median", "scale": "min_max", "matrix": prepared("median", MinMaxScaler)},
    {"impute": "median", "scale": "standard", "matrix": prepared("median", StandardScaler)},
    {"impute": "mean", "scale": "standard", "matrix": prepared("mean", StandardScaler)},
]
assert np.isclose(np.sum(checked()), np.sum(cases[0]["matrix"]), rtol=0, atol=1e-9)
golden = {
    "train": TRAIN,
    "rows": ROWS,
    "edits": EDITS,
    "cases": cases,
}
text = "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n"
Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
