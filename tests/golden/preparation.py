"""Writes preparation.json: columns of real tables prepared by scikit-learn and category_encoders, in float64.

Made with scikit-learn 1.9.1 and category_encoders 2.11.2 on the tables that scikit-learn brings (BSD licence).
    pip install scikit-learn==1.9.1 category_encoders==2.11.2
    python tests/golden/preparation.py

A case is one column, its first rows to fit to, the steps as Statera has them, and what the other library makes of
some rows. Categories are the ranges that a number of the table falls into, so that some are rare, some cells are
missing, and some rows have a category that the rows to fit to lack.
"""

import json
import sys
from pathlib import Path

import numpy as np
from category_encoders import CountEncoder, HashingEncoder
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

TABLES = {
    "breast_cancer": datasets.load_breast_cancer(as_frame=True).frame,
    "diabetes": datasets.load_diabetes(as_frame=True, scaled=False).frame,
    "wine": datasets.load_wine(as_frame=True).frame.sample(frac=1, random_state=0),
}


class Winsorize(FunctionTransformer):
    """Cuts at two quantiles of the rows that it is fitted to."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def fit(self, x, y=None):
        self.bounds = np.nanquantile(x, [self.low, self.high], axis=0)
        return self

    def transform(self, x):
        return np.clip(x, *self.bounds)


def quantile(n, output):
    return QuantileTransformer(n_quantiles=n, output_distribution=output, subsample=None)


def imputed(strategy):
    return SimpleImputer(strategy=strategy, fill_value=-1.5)


MEDIAN = {"step": "median", "indicator": False}
NUMBERS = [
    ("breast_cancer", "mean area", ["standard"], StandardScaler()),
    ("breast_cancer", "mean area", ["min_max"], MinMaxScaler()),
    ("breast_cancer", "mean area", [{"step": "robust", "clip": False}], RobustScaler()),
    ("breast_cancer", "mean area", [{"step": "winsorize", "low": 0.05, "high": 0.9}], Winsorize(0.05, 0.9)),
    ("breast_cancer", "area error", ["log"], FunctionTransformer(np.log1p)),
    ("breast_cancer", "area error", ["yeo_johnson"], PowerTransformer(standardize=False)),
    ("breast_cancer", "area error", ["yeo_johnson", "standard"], PowerTransformer()),
    ("breast_cancer", "worst concavity", ["yeo_johnson", "standard"], PowerTransformer()),
    ("breast_cancer", "area error", [{"step": "quantile", "output": "uniform"}], quantile(399, "uniform")),
    ("breast_cancer", "worst concavity", [{"step": "quantile", "n_quantiles": 50}], quantile(50, "normal")),
    ("diabetes", "s4", ["yeo_johnson", "standard"], PowerTransformer()),
    ("diabetes", "s4", ["quantile"], quantile(399, "normal")),
    ("diabetes", "s4", [{"step": "quantile", "n_quantiles": 30, "output": "uniform"}], quantile(30, "uniform")),
    ("diabetes", "target", ["log", "standard"], make_pipeline(FunctionTransformer(np.log1p), StandardScaler())),
    ("wine", "proline", ["yeo_johnson", "standard"], PowerTransformer()),
    ("wine", "malic_acid", [{"step": "winsorize", "low": 0.0, "high": 0.8}, "yeo_johnson", "min_max"],
     make_pipeline(Winsorize(0.0, 0.8), PowerTransformer(standardize=False), MinMaxScaler())),
    ("diabetes", "bmi?", [MEDIAN, "quantile"], make_pipeline(imputed("median"), quantile(399, "normal"))),
    ("diabetes", "age?", [{"step": "most_frequent", "indicator": False}, "standard"],
     make_pipeline(imputed("most_frequent"), StandardScaler())),
    ("diabetes", "s5?", [{"step": "mean"}, "yeo_johnson", "standard"],
     make_pipeline(SimpleImputer(strategy="mean", add_indicator=True),
                   make_column_transformer((PowerTransformer(), [0]), remainder="passthrough"))),
    ("diabetes", "s5?", [{"step": "constant", "value": -1.5, "indicator": False}, {"step": "log", "signed": True}],
     make_pipeline(imputed("constant"), FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x))))),
    # A scale before the imputation passes missing cells over.
    ("diabetes", "s5?", ["standard", {"step": "constant", "value": -1.5, "indicator": False}],
     make_pipeline(StandardScaler(), imputed("constant"))),
]


def one_hot(**rare):
    return OneHotEncoder(handle_unknown="infrequent_if_exist" if rare else "ignore", sparse_output=False, **rare)


def with_steps(encoder, *steps):
    return make_pipeline(encoder, FunctionTransformer(lambda x: np.asarray(x, float)), *steps)


CATEGORIES = [
    ("diabetes", "age", ["one_hot"], one_hot()),
    ("diabetes", "age", [{"step": "rare", "min_frequency": 0.05}, "one_hot"], one_hot(min_frequency=0.05)),
    ("diabetes", "age", [{"step": "rare", "min_frequency": 30}, "one_hot"], one_hot(min_frequency=30)),
    ("diabetes", "age", [{"step": "rare", "min_frequency": 0, "max_categories": 4}, "one_hot"],
     one_hot(max_categories=4)),
    ("breast_cancer", "worst area", [{"step": "rare", "min_frequency": 12, "max_categories": 5}, "one_hot"],
     one_hot(min_frequency=12, max_categories=5)),
    ("diabetes", "age", ["ordinal", "standard"],
     with_steps(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), StandardScaler())),
    ("diabetes", "age", [{"step": "count", "normalize": False}],
     CountEncoder(handle_unknown=0, handle_missing="value")),
    ("breast_cancer", "worst area", ["count", "standard"],
     with_steps(CountEncoder(normalize=True, handle_unknown=0, handle_missing="value"), StandardScaler())),
    ("diabetes", "age", [{"step": "hashing", "n_buckets": 7}],
     HashingEncoder(n_components=7, hash_method="sha256", max_process=1)),
    ("diabetes", "age?", [{"step": "most_frequent", "indicator": False}, "one_hot"], make_pipeline(imputed("most_frequent"), one_hot())),
]


def train_rows(table):
    return len(TABLES[table]) * 9 // 10 if table == "wine" else 399


def with_gaps(cells):
    """Every sixth cell missing, of the rows to fit to and of the others."""
    return [None if row % 6 == 1 else cell for row, cell in enumerate(cells)]


def numbers(table, column):
    cells = TABLES[table][column.rstrip("?")].astype(float).tolist()
    return with_gaps(cells) if column.endswith("?") else cells


def categories(table, column):
    """The tenths of the column's range, by their lower ends, the upper ones rare."""
    cells = TABLES[table][column.rstrip("?")].astype(float).to_numpy()
    edges = np.linspace(cells.min(), cells.max(), 11)
    names = [f"from {edges[i]:.0f}" for i in np.clip(np.searchsorted(edges, cells, "right") - 1, 0, 9)]
    # One that only rows behind the first have.
    names[400] = "elsewhere"
    return with_gaps(names) if column.endswith("?") else names


def case(kind, cells, table, column, steps, transformer):
    n_train = train_rows(table)
    rows = list(range(0, n_train, 40)) + list(range(n_train, len(cells), 5))[:20] + [400][: len(cells) - 400 > 0]
    kept = float if kind == "number" else object
    x = np.array([[np.nan if cell is None else cell] for cell in cells], dtype=kept)
    made = np.asarray(transformer.fit(x[:n_train]).transform(x[rows]), float)
    return {"kind": kind, "table": table, "column": column, "steps": steps, "train": n_train, "rows": rows,
            "matrix": made.reshape(len(rows), -1).tolist()}


def main():
    cells, cases = {}, []
    for kind, listed, of in (("number", NUMBERS, numbers), ("category", CATEGORIES, categories)):
        for table, column, steps, transformer in listed:
            name = f"{kind} {table} {column}"
            cells[name] = of(table, column)
            cases.append({"cells": name, **case(kind, cells[name], table, column, steps, transformer)})
    golden = {"cells": cells, "cases": cases}
    lines = [f'  "cells": {{\n' + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in cells.items()) + "\n  }"]
    lines.append('  "cases": [\n' + ",\n".join("    " + json.dumps(c) for c in cases) + "\n  ]")
    Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(golden['cases'])} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
