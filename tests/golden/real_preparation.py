"""Writes real_preparation.json: whole columns of real tables prepared by scikit-learn and category_encoders, in float64,
as sums that a deviation of 1e-6 in a single cell would change.

Made with scikit-learn 1.9.1 and category_encoders 2.11.2 on the tables that scripts/fetch_tables.py fetches.
    pip install scikit-learn==1.9.1 category_encoders==2.11.2
    python scripts/fetch_tables.py && python tests/golden/real_preparation.py

The tables are no part of the repository, and neither are their cells. Of each output of each case there are kept: the
least, the largest, and the sums of weight(row)·value over the rows with row % 8 = 0, 1 … 7. Fitted is on the rows with
row % 5 ≠ 0; transformed are all, so that rows to fit to and others, known and unknown categories are among them.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.metrics.pairwise import nan_euclidean_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OrdinalEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

HERE = Path(__file__).resolve().parent
TABLES = HERE.parent.parent / "target" / "tables"
BLOCKS, FOLDS = 8, 5

# What the cases on small tables are made with.
spec = importlib.util.spec_from_file_location("preparation", HERE / "preparation.py")
small = importlib.util.module_from_spec(spec)
sys.modules["preparation"] = small
spec.loader.exec_module(small)
one_hot, quantile, with_steps, Winsorize = small.one_hot, small.quantile, small.with_steps, small.Winsorize


def log(signed=False):
    return FunctionTransformer((lambda x: np.sign(x) * np.log1p(np.abs(x))) if signed else np.log1p)


def clipped_robust():
    """RealMLP's robust scaling with its smooth clip (Holzmüller, Grinsztajn & Steinwart 2024)."""
    return make_pipeline(RobustScaler(), FunctionTransformer(lambda z: z / np.sqrt(1 + (z / 3) ** 2)))


def filled(strategy, indicator=True):
    return SimpleImputer(strategy=strategy, fill_value=-1.5, add_indicator=indicator)


def count(normalize):
    return small.CountEncoder(normalize=normalize, handle_unknown=0, handle_missing="value")


def hashing(n):
    return small.HashingEncoder(n_components=n, hash_method="sha256", max_process=1)


NUMBERS = [
    ("adult", "age", ["standard"], StandardScaler()),
    ("adult", "fnlwgt", ["min_max"], MinMaxScaler()),
    ("adult", "hours_per_week", ["robust"], clipped_robust()),
    ("adult", "capital_gain", ["log"], log()),
    ("adult", "fnlwgt", [{"step": "winsorize", "low": 0.05, "high": 0.9}], Winsorize(0.05, 0.9)),
    ("adult", "fnlwgt", ["yeo_johnson", "standard"], PowerTransformer()),
    ("adult", "age", [{"step": "quantile", "output": "uniform"}], quantile(1000, "uniform")),
    ("adult", "capital_gain", ["quantile"], quantile(1000, "normal")),
    ("wage", "wage", [{"step": "robust", "clip": False}], RobustScaler()),
    ("wage", "age", ["yeo_johnson", "standard"], PowerTransformer()),
    ("wage", "logwage", [{"step": "winsorize"}, "standard"], make_pipeline(Winsorize(0.01, 0.99), StandardScaler())),
    ("hitters", "CHits", ["log", "standard"], make_pipeline(log(), StandardScaler())),
    ("hitters", "CRBI", ["yeo_johnson"], PowerTransformer(standardize=False)),
    ("hitters", "Assists", ["quantile"], quantile(257, "normal")),
    ("hitters", "Salary", ["median"], filled("median")),
    ("hitters", "Salary", ["mean"], filled("mean")),
    ("hitters", "Salary", ["most_frequent"], filled("most_frequent")),
    ("hitters", "Salary", [{"step": "constant", "value": -1.5}], filled("constant")),
    ("hitters", "Salary", [{"step": "median", "indicator": False}, "standard"],
     make_pipeline(filled("median", False), StandardScaler())),
    ("bikeshare", "registered", [{"step": "log", "signed": True}, "min_max"], make_pipeline(log(True), MinMaxScaler())),
    ("bikeshare", "windspeed", [{"step": "quantile", "n_quantiles": 100}], quantile(100, "normal")),
    ("bikeshare", "hum", ["robust"], clipped_robust()),
    ("diamonds", "price", ["log", "standard"], make_pipeline(log(), StandardScaler())),
    ("diamonds", "carat", ["quantile"], quantile(1000, "normal")),
    ("diamonds", "y", ["yeo_johnson", "standard"], PowerTransformer()),
    ("diamonds", "depth", [{"step": "robust", "clip": False}], RobustScaler()),
]

CATEGORIES = [
    ("adult", "workclass", ["one_hot"], one_hot()),
    ("adult", "workclass", [{"step": "most_frequent", "indicator": False}, "one_hot"],
     make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot())),
    ("adult", "native_country", [{"step": "rare", "min_frequency": 0.01}, "one_hot"], one_hot(min_frequency=0.01)),
    ("adult", "occupation", ["count"], count(True)),
    ("adult", "education", [{"step": "hashing", "n_buckets": 16}], hashing(16)),
    ("adult", "education", ["ordinal", "standard"],
     with_steps(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), StandardScaler())),
    ("wage", "education", ["one_hot"], one_hot()),
    ("hitters", "League", ["one_hot"], one_hot()),
    ("bikeshare", "mnth", ["one_hot"], one_hot()),
    ("bikeshare", "weathersit", [{"step": "count", "normalize": False}], count(False)),
    ("diamonds", "clarity", [{"step": "rare", "min_frequency": 0, "max_categories": 4}, "one_hot"],
     one_hot(max_categories=4)),
    ("diamonds", "color", [{"step": "hashing", "n_buckets": 5}], hashing(5)),
]

ENCODED_BY_TARGET = [
    ("adult", "occupation", "income", ["target"], TargetEncoder(target_type="binary")),
    ("adult", "native_country", "income", [{"step": "target", "smooth": 20}], TargetEncoder(target_type="binary", smooth=20.0)),
    ("wage", "education", "wage", ["target"], TargetEncoder(target_type="continuous")),
    ("hitters", "Division", "CHits", ["target"], TargetEncoder(target_type="continuous")),
    ("bikeshare", "weathersit", "bikers", ["target"], TargetEncoder(target_type="continuous")),
    ("diamonds", "clarity", "price", ["target"], TargetEncoder(target_type="continuous")),
    ("diamonds", "color", "cut", ["target"], TargetEncoder(target_type="multiclass")),
]

NEIGHBOURS = [
    ("hitters", ["AtBat", "Hits", "Years", "CAtBat", "CHits", "PutOuts", "Salary"], {}),
    ("hitters", ["HmRun", "CHmRun", "CRuns", "CWalks", "Salary"], {"n_neighbors": 9, "weights": "distance"}),
]


def table(name):
    # The words that Statera takes as missing, and no others.
    words = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-", "missing"]
    return pd.read_csv(TABLES / f"{name}.csv", keep_default_na=False, na_values=words)


def is_train(n):
    return np.arange(n) % FOLDS != 0


def weight(rows):
    return 1 + rows * 7919 % 101 / 100


def kept(matrix, rows=None):
    """Least, largest and weighted sums of each output."""
    matrix = np.asarray(matrix, float).reshape(len(matrix), -1)
    rows = np.arange(len(matrix)) if rows is None else rows
    weighted = matrix * weight(rows)[:, None]
    sums = [weighted[rows % BLOCKS == block].sum(axis=0) for block in range(BLOCKS)]
    return np.column_stack([matrix.min(axis=0), matrix.max(axis=0), *sums]).tolist()


def cells(of, column, kind):
    x = of[[column]]
    return x.astype(float).to_numpy() if kind == "number" else x.astype(object).where(x.notna(), np.nan).to_numpy()


def prepared(kind, name, column, steps, transformer):
    of = table(name)
    x = cells(of, column, kind)
    made = transformer.fit(x[is_train(len(x))]).transform(x)
    if column == "native_country" and steps[-1] == "one_hot":
        # scikit-learn puts the rare last, Statera the missing.
        made[:, [-2, -1]] = made[:, [-1, -2]]
    # The power is found by an optimiser, a normal quantile by an approximation: no two agree to the last digit.
    named = [step if isinstance(step, str) else step["step"] for step in steps]
    exact = not {"yeo_johnson", "quantile"} & set(named)
    return {"table": name, "columns": [column], "kind": kind, "steps": steps, "exact": exact, "outputs": kept(made)}


def philox(blocks, counter, purpose, seed):
    """Four words of 32 bits for each of `blocks` (Salmon, Moraes, Dror & Shaw 2011, Philox4x32 with 10 rounds)."""
    word = np.uint64(0xFFFFFFFF)
    fill = lambda x: np.full(len(blocks), x, np.uint64)
    c, k = [blocks.astype(np.uint64), fill(0), fill(counter), fill(purpose)], [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        high = [x >> np.uint64(32) for x in (p, q)]
        c = [high[1] ^ c[1] ^ np.uint64(k[0]), q & word, high[0] ^ c[3] ^ np.uint64(k[1]), p & word]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.column_stack(c)


def folds(y, n_folds, classes):
    """The folds that Statera deals rows out to at seed 0: in turn, in an order shuffled by Fisher & Yates with numbers
    below n by Lemire 2019, and class by class where the target has classes."""
    purpose = 80
    words = philox(np.arange(len(y) // 2 + 2), n_folds, purpose, 0).ravel()
    numbers = iter((words[::2] << np.uint64(32) | words[1::2]).tolist())

    def below(n):
        product = next(numbers) * n
        while product % 2**64 < 2**64 % n:
            product = next(numbers) * n
        return product >> 64

    order = np.arange(len(y))
    for i in range(len(y) - 1, 0, -1):
        j = below(i + 1)
        order[i], order[j] = order[j], order[i]
    if classes:
        order = order[np.argsort(np.unique(y, return_inverse=True)[1][order], kind="stable")]
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % n_folds
    return fold


def encoded_by_target(name, column, target, steps, encoder):
    """All rows by those to fit to; and each row to fit to by those of the other folds, which are dealt out as Statera does."""
    of = table(name)
    x, y, train = cells(of, column, "category"), of[target].to_numpy(), is_train(len(of))
    whole = encoder.fit(x[train], y[train]).transform(x)
    fold = np.full(len(of), -1)
    fold[train] = folds(y[train], FOLDS, encoder.target_type != "continuous")
    own = np.zeros_like(whole)
    for one in range(FOLDS):
        inside, others = train & (fold == one), train & (fold != one)
        own[inside] = encoder.fit(x[others], y[others]).transform(x[inside])
    return {"table": name, "columns": [column], "kind": "category", "steps": steps, "exact": True, "target": target,
            "outputs": kept(whole), "folds": kept(own[train], np.flatnonzero(train))}


def by_neighbours(name, columns, settings):
    x = table(name)[columns].astype(float).to_numpy()
    train = is_train(len(x))
    scaler = StandardScaler().fit(x[train])
    apart = nan_euclidean_distances(scaler.transform(x), scaler.transform(x[train]))
    k = settings.get("n_neighbors", 5)

    def is_clear(row):
        """Whether no two rows are as far away at the last place: scikit-learn takes either."""
        there = [np.sort(apart[row][~np.isnan(x[train][:, at])]) for at in np.flatnonzero(np.isnan(x[row]))]
        return all(near[k] - near[k - 1] > 1e-6 for near in there)

    rows = np.array([row for row in range(len(x)) if is_clear(row)])
    imputer = KNNImputer(**settings).fit(scaler.transform(x[train]))
    made = scaler.inverse_transform(imputer.transform(scaler.transform(x[rows])))
    # The mark of a missing cell follows its column, here the last.
    made = np.column_stack([made, np.isnan(x[rows][:, -1])])
    left_out = sorted(set(range(len(x))) - set(rows.tolist()))
    return {"table": name, "columns": columns, "kind": "number", "steps": [{"step": "knn", **settings}], "exact": True,
            "left_out": left_out, "outputs": kept(made, rows)}


def main():
    cases = [prepared("number", *case) for case in NUMBERS] + [prepared("category", *case) for case in CATEGORIES]
    cases += [encoded_by_target(*case) for case in ENCODED_BY_TARGET] + [by_neighbours(*case) for case in NEIGHBOURS]
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(cases)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
