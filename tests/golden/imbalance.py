"""Makes imbalance.json: neighbours and class counts of imbalanced-learn.

    pip install imbalanced-learn==0.14.0 scikit-learn==1.7.2
    python tests/golden/imbalance.py

What can be compared without sharing a random generator: which rows are neighbours, how many rows
each class comes to, and which levels most neighbours have. That new rows lie between neighbours is
tested against these sets.
"""

import json
from pathlib import Path

import numpy as np
from imblearn.over_sampling import SMOTE, SMOTENC, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

rng = np.random.default_rng(11)
n, n_rare = 110, 17
classes = np.zeros(n, dtype=int)
classes[rng.choice(n, n_rare, replace=False)] = 1
numbers = rng.normal(size=(n, 3)) * [1.0, 0.4, 2.0]
codes = np.column_stack([rng.integers(0, 3, n), rng.integers(0, 2, n)])
rows = np.column_stack([numbers, codes])
minority = np.flatnonzero(classes == 1)
k = 5


def neighbours(sampler):
    # The model of neighbours was fitted to the rows of the minority, as the sampler encodes them.
    near = sampler.nn_k_.kneighbors(sampler.nn_k_._fit_X, return_distance=False)[:, 1:]
    return minority[near].tolist()


smote = SMOTE(k_neighbors=k, random_state=0)
smote.fit_resample(numbers, classes)
smote_nc = SMOTENC(categorical_features=[3, 4], k_neighbors=k, random_state=0)
smote_nc.fit_resample(rows, classes)

modes = []
for near in neighbours(smote_nc):
    levels = []
    for column in (3, 4):
        found, how_many = np.unique(rows[near, column], return_counts=True)
        levels.append(found[how_many == how_many.max()].tolist())
    modes.append(levels)

counts = []
for kind, sampler, table in [
    ("smote", SMOTE, numbers),
    ("smote_nc", lambda **kw: SMOTENC(categorical_features=[3, 4], **kw), rows),
    ("oversample", RandomOverSampler, numbers),
    ("undersample", RandomUnderSampler, numbers),
]:
    for ratio in (0.3, 0.77, 1.0):
        _, after = sampler(sampling_strategy=ratio, random_state=0).fit_resample(table, classes)
        counts.append({"kind": kind, "ratio": ratio, "after": np.bincount(after).tolist()})

out = {
    "rows": rows.tolist(),
    "classes": classes.tolist(),
    "k": k,
    "minority": minority.tolist(),
    "smote": neighbours(smote),
    "smote_nc": neighbours(smote_nc),
    "median_std": float(smote_nc.median_std_[1]),
    "modes": modes,
    "counts": counts,
}
Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
