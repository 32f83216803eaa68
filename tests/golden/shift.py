"""Writes shift.json, shift-here.csv and shift-there.csv: two tables compared as numpy, scipy and statsmodels have it.

Made with pandas 3.1.1, numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0, scikit-learn 1.9.1.
    pip install pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1
    python tests/golden/shift.py

The tables are drawn by numpy's generator: 700 and 400 rows, one column for each way of differing. `insurance` is
data/insurance.csv parted by age, `wine` is wine.csv of profile.py, its first 100 rows and the others.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats
import sklearn
import statsmodels
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.pipeline import make_pipeline
from statsmodels.stats.multitest import multipletests

HERE = Path(__file__).resolve().parent


def tables():
    draw = np.random.default_rng(7)

    def table(n, there):
        words = [f"w{i}" for i in range(60)]
        rare = draw.choice(words, n, p=np.r_[[0.3, 0.2, 0.1], np.full(57, 0.4 / 57)])
        t = pd.DataFrame(
            {
                "same": draw.normal(0, 1, n).round(3),
                "moved": draw.normal(0.5 if there else 0, 1, n).round(3),
                "wider": draw.normal(0, 1.6 if there else 1, n).round(3),
                "whole": draw.poisson(3.0, n),
                "gaps": draw.normal(0, 1, n).round(3),
                "city": draw.choice(["Rome", "Oslo", "Bern"], n, p=[0.2, 0.3, 0.5] if there else [0.5, 0.3, 0.2]),
                "fresh": draw.choice(["a", "b", "c", "d"], n, p=[0.4, 0.3, 0.1, 0.2] if there else [0.5, 0.4, 0.1, 0.0]),
                "rare": rare,
            }
        )
        t.loc[draw.random(n) < (0.3 if there else 0.02), "gaps"] = np.nan
        t.loc[draw.random(n) < 0.05, "city"] = np.nan
        return t

    here, there = table(700, False), table(400, True)
    for name, t in [("here", here), ("there", there)]:
        t.to_csv(HERE / f"shift-{name}.csv", index=False, float_format="%g", lineterminator="\n")
    return [pd.read_csv(HERE / f"shift-{name}.csv") for name in ("here", "there")]


def psi(p, q):
    """Population stability index of counts, half a row added to each part."""
    p = (p + 0.5) / (p.sum() + 0.5 * len(p))
    q = (q + 0.5) / (q.sum() + 0.5 * len(q))
    return float(((p - q) * np.log(p / q)).sum())


def shares_differ(hits, sizes):
    """χ² without correction; Fisher's exact test where a count below 5 is expected."""
    table = np.array([hits, [s - h for h, s in zip(hits, sizes)]])
    if (table.sum(axis=1) == 0).any():
        return None
    if scipy.stats.contingency.expected_freq(table).min() >= 5:
        return float(scipy.stats.chi2_contingency(table, correction=False).pvalue)
    return float(scipy.stats.fisher_exact(table).pvalue)


def numbers(a, b):
    ends = np.unique(np.quantile(a, np.arange(1, 10) / 10))
    parts = lambda x: np.bincount(np.searchsorted(ends, x, side="left"), minlength=len(ends) + 1)
    test = scipy.stats.ks_2samp(a, b)
    n = np.sqrt(len(a) * len(b) / (len(a) + len(b)))
    # The limiting distribution at Stephens's argument; scipy's own p-value stands beside it.
    p = scipy.special.kolmogorov((n + 0.12 + 0.11 / n) * test.statistic)
    return {
        "psi": psi(parts(a), parts(b)),
        "statistic": float(test.statistic),
        "p": float(p),
        "scipy_p": float(test.pvalue),
        "median": [float(np.median(a)), float(np.median(b))],
        "outside": int(((b < a.min()) | (b > a.max())).sum()),
    }


def categories(a, b):
    counts = pd.concat([a.value_counts(), b.value_counts()], axis=1).fillna(0).to_numpy().astype(int).T
    expected = counts.sum(axis=0) * min(len(a), len(b)) / (len(a) + len(b))
    # Categories expected in fewer than five rows of the smaller table are put together.
    kept = counts[:, expected >= 5]
    if (expected < 5).any():
        kept = np.column_stack([kept, counts[:, expected < 5].sum(axis=1)])
    test = scipy.stats.chi2_contingency(kept, correction=False)
    new = int(b[~b.isin(set(a))].count())
    single = int((a.value_counts() == 1).sum())
    p = shares_differ([single, new], [len(a), len(b)])
    return {
        "psi": psi(kept[0], kept[1]),
        "statistic": float(test.statistic),
        "df": int(test.dof),
        "p": float(test.pvalue),
        "new": [int(len(set(b) - set(a))), new],
        "gone": int(len(set(a) - set(b))),
        "new_p": None if p is None else p if new * len(a) > single * len(b) else 1.0,
    }


def shift(before, after):
    """Each column of two tables, and Holm's correction over all of their tests."""
    found = {}
    for c in before.columns:
        a, b = before[c].dropna(), after[c].dropna()
        numeric = pd.api.types.is_numeric_dtype(a)
        found[c] = numbers(a, b) if numeric else categories(a, b)
        found[c]["missing"] = [int(before[c].isna().sum()), int(after[c].isna().sum())]
        found[c]["missing_p"] = shares_differ(found[c]["missing"], [len(before), len(after)])
    places = [(c, k) for c in found for k in ("p", "missing_p", "new_p") if found[c].get(k) is not None]
    adjusted = multipletests([found[c][k] for c, k in places], method="holm")[1]
    for (c, k), p in zip(places, adjusted):
        found[c]["holm_" + k] = float(p)
    return found


def told_apart(before, after):
    """A linear rival of the network: scikit-learn's logistic regression on the same rows, out of fold."""
    x = pd.get_dummies(pd.concat([before, after]), dummy_na=True).astype(float)
    for c in [c for c in x.columns if x[c].isna().any()]:
        x[c + "?"] = x[c].isna().astype(float)
    y = np.r_[np.zeros(len(before)), np.ones(len(after))]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(roc_auc_score(y, cross_val_predict(model, x.fillna(0), y, cv=folds, method="predict_proba")[:, 1]))


def area(scores, there):
    """The area under the ROC curve and its variance by DeLong's placements."""
    pairs = lambda a, b: (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    won = pairs(scores[there], scores[~there])
    v10, v01 = won.mean(axis=1), won.mean(axis=0)
    return [float(won.mean()), float(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))]


def main():
    insurance = pd.read_csv(HERE.parent.parent / "data" / "insurance.csv")
    wine = pd.read_csv(HERE / "wine.csv")
    young = insurance.age < 40
    here, there = tables()
    chi = [(0.1, 1), (3.84, 1), (5, 5), (80, 50), (300, 20), (0.01, 30), (1500, 1400)]
    draw = np.random.default_rng(3)
    scores, of = draw.normal(size=60).round(1), np.arange(60) >= 35
    print(pd.__version__, np.__version__, scipy.__version__, statsmodels.__version__, sklearn.__version__)
    golden = {
        "drawn": shift(here, there),
        "insurance": shift(insurance[young], insurance[~young]),
        "wine": shift(wine.iloc[:100], wine.iloc[100:]),
        "logistic_auc": {
            "drawn": told_apart(here, there),
            "insurance without age": told_apart(*[insurance[m].drop(columns="age") for m in (young, ~young)]),
        },
        "area": {"scores": scores.tolist(), "n_here": 35, "area": area(scores, of)},
        "chi2_sf": [[x, df, float(scipy.stats.chi2.sf(x, df))] for x, df in chi],
        "kolmogorov_sf": [[x, float(scipy.special.kolmogorov(x))] for x in [0.2, 0.4, 0.6, 0.8, 1.0, 1.36, 2.0, 4.0]],
        "shares": [[h, s, shares_differ(h, s)] for h, s in [([1, 9], [20, 30]), ([0, 6], [1000, 50]), ([300, 350], [1000, 1000]), ([3, 2], [4, 900])]],
    }
    (HERE / "shift.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
