"""Makes folds.json: how scikit-learn cuts rows into folds.

    pip install scikit-learn==1.9.1
    python tests/golden/folds.py

What can be compared without sharing a random generator: the sizes of folds, the rows of each class
in them, and the windows of time. Classes first appear in their order, because StratifiedKFold deals
them out in the order of their first row.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

rng = np.random.default_rng(7)
n = 143
classes = np.concatenate([[0, 1, 2], rng.choice(3, size=n - 3, p=[0.7, 0.2, 0.1])])
# Groups of very different sizes: 30 in all.
groups = rng.choice(30, size=n, p=np.arange(1, 31) / np.arange(1, 31).sum())
x = np.zeros((n, 1))

cases = []
for k in (2, 3, 5, 10):
    sizes = lambda split: [len(test) for _, test in split]
    cases.append(
        {
            "n_folds": k,
            "kfold": sizes(KFold(k).split(x)),
            "stratified": [
                np.bincount(classes[test], minlength=3).tolist()
                for _, test in StratifiedKFold(k).split(x, classes)
            ],
            "group": sizes(GroupKFold(k).split(x, groups=groups)),
            "time": [[int(test[0]), int(test[-1]) + 1] for _, test in TimeSeriesSplit(k).split(x)],
        }
    )

out = {"classes": classes.tolist(), "groups": groups.tolist(), "cases": cases}
Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
