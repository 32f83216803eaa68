"""The whole path from a file to a prepared matrix of floats, by pandas or Polars and scikit-learn.

    python peer.py pandas|polars FILE

Numbers: median, mark of missing cells, mean 0 and deviation 1. Words: one-hot, missing cells as a word of their own. These
are the columns that Statera makes, 90 of the table of generate.py.
Prints one line of JSON: seconds of reading and in all, rows and columns of the matrix.
"""

import json
import sys
import time

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def main():
    library, file = sys.argv[1:]
    start = time.perf_counter()
    if library == "pandas":
        import pandas as pd

        frame = pd.read_parquet(file) if file.endswith(".parquet") else pd.read_csv(file)
        numbers = list(frame.select_dtypes("number").columns)
        missing = np.nan
    else:
        import polars as pl

        frame = pl.read_parquet(file) if file.endswith(".parquet") else pl.read_csv(file)
        numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
        missing = None
    words = [name for name in frame.columns if name not in numbers]
    read = time.perf_counter()
    number = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    if library == "polars":
        # scikit-learn takes missing words as None of an object array only.
        frame = frame.to_pandas()
        frame[words] = frame[words].astype(object).where(frame[words].notna(), None)
    word = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing", missing_values=missing),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    matrix = ColumnTransformer([("number", number, numbers), ("word", word, words)]).fit_transform(frame)
    end = time.perf_counter()
    print(json.dumps({"read": read - start, "all": end - start, "shape": list(matrix.shape)}))


if __name__ == "__main__":
    main()
