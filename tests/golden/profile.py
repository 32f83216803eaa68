"""Writes profile.json and wine.csv: figures of tables as pandas, scipy, statsmodels and scikit-learn have them.

Made with pandas 3.1.1, numpy 2.4.6, scipy 1.17.1, statsmodels 0.15.0, scikit-learn 1.9.1.
    pip install pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1
    python tests/golden/profile.py

wine.csv: results of a chemical analysis of Italian wines, S. Aeberhard and M. Forina (1992), UCI Machine Learning
Repository, CC BY 4.0, as scikit-learn bundles it; every seventeenth number left out, to have missing cells.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import sklearn
import statsmodels
from sklearn.datasets import load_wine
from statsmodels.stats.outliers_influence import variance_inflation_factor

HERE = Path(__file__).resolve().parent
P = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def wine():
    bunch = load_wine(as_frame=True)
    table = bunch.data.copy()
    table.columns = [c.replace("/", "_") for c in table.columns]
    cells = table.to_numpy().copy()
    cells.ravel()[16::17] = np.nan
    table = pd.DataFrame(cells, columns=table.columns)
    table["kind"] = [f"class_{c}" for c in bunch.target]
    table.to_csv(HERE / "wine.csv", index=False, float_format="%g", lineterminator="\n")
    return pd.read_csv(HERE / "wine.csv")


def eta(codes, x):
    both = codes.notna() & x.notna()
    codes, x = codes[both], x[both]
    groups = x.groupby(codes)
    between = (groups.size() * (groups.mean() - x.mean()) ** 2).sum()
    return float(np.sqrt(between / ((x - x.mean()) ** 2).sum()))


def cramers_v(a, b):
    return float(scipy.stats.contingency.association(pd.crosstab(a, b).to_numpy(), method="cramer"))


def figures(x):
    found = x.dropna()
    return {
        "missing": int(x.isna().sum()),
        "distinct": int(x.nunique()),
        "min": float(x.min()),
        "max": float(x.max()),
        "mean": float(x.mean()),
        "std": float(x.std()),
        "skewness": float(x.skew()),
        "kurtosis": float(x.kurt()),
        "quantiles": [float(q) for q in np.quantile(found, P)],
    }


def collinearity(table):
    # Missing numbers count as the mean.
    filled = table.fillna(table.mean())
    z = (filled - filled.mean()) / filled.std()
    with_intercept = np.column_stack([np.ones(len(z)), filled.to_numpy()])
    return {
        "vif": {c: float(variance_inflation_factor(with_intercept, i + 1)) for i, c in enumerate(filled.columns)},
        "condition_number": float(np.linalg.cond(z.to_numpy())),
    }


def profile(table, target):
    numbers = table.select_dtypes("number")
    words = table.select_dtypes(exclude="number")
    pearson, spearman = numbers.corr(), numbers.corr(method="spearman")
    pairs = []
    for a, b in itertools.combinations(numbers.columns, 2):
        pairs.append([a, b, float(pearson.loc[a, b]), float(spearman.loc[a, b])])
    for a, b in itertools.combinations(words.columns, 2):
        pairs.append([a, b, cramers_v(table[a], table[b]), None])
    for a, b in itertools.product(words.columns, numbers.columns):
        pairs.append([a, b, eta(table[a], table[b]), None])
    return {
        "numbers": {c: figures(table[c]) for c in numbers},
        "categories": {c: {str(k): int(v) for k, v in table[c].value_counts().items()} for c in words},
        "pairs": pairs,
        "collinearity": collinearity(numbers.drop(columns=[target], errors="ignore")),
        "duplicates": int(table.duplicated().sum()),
    }


def main():
    insurance = pd.read_csv(HERE.parent.parent / "data" / "insurance.csv")
    table = wine()
    print(pd.__version__, np.__version__, scipy.__version__, statsmodels.__version__, sklearn.__version__)
    golden = {
        "insurance": profile(insurance, "charges"),
        "wine": profile(table, "kind"),
    }
    (HERE / "profile.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
