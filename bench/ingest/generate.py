"""Writes a table of 30 mixed columns as CSV and as Parquet.

    python generate.py MEGABYTES FOLDER

14 columns of floats (7 with all their digits, 7 rounded), 6 of integers, 8 of words with 3 to 12 values, 2 of yes and no;
of every third column one cell in twenty is missing. The same numbers at every call (seed 7).
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl

ROW_BYTES = 288  # measured


def columns(n, rng):
    table = {}
    for i in range(14):
        x = rng.normal(size=n) * 10.0 ** rng.integers(0, 4)
        table[f"float_{i}"] = x if i < 7 else np.round(x, 1 + i % 4)
    for i in range(6):
        table[f"int_{i}"] = rng.integers(0, 10 ** (1 + i), size=n)
    for i in range(8):
        words = np.array([f"{'abcdefgh'[i]}_level_{j}" for j in range(3 + i + i // 4)])
        table[f"word_{i}"] = words[rng.integers(0, len(words), size=n)]
    for i in range(2):
        table[f"flag_{i}"] = np.where(rng.random(n) < 0.3, "yes", "no")
    frame = pl.DataFrame(table)
    holes = [
        pl.when(pl.Series(rng.random(n) < 0.05)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns[::3]
    ]
    return frame.with_columns(holes)


def main():
    megabytes, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    frame = columns(megabytes * 1_000_000 // ROW_BYTES, np.random.default_rng(7))
    frame.write_csv(folder / "table.csv")
    frame.write_parquet(folder / "table.parquet", compression="snappy", row_group_size=1 << 20)
    print(f"{frame.height} rows, {(folder / 'table.csv').stat().st_size / 1e6:.0f} MB as CSV")


if __name__ == "__main__":
    main()
