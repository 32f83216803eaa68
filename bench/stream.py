#!/usr/bin/env python3
"""Trains on a table larger than memory, and says what it takes: peak memory, and rows a second beside memory's.

    make bench-stream                      50 million rows of 20 columns, some 7 GB, at 2 GiB
    make bench-stream ROWS=2000000 MEMORY=256MiB

Needs some 25 GB of disk for 50 million rows. The table is made once, of a million different rows in random order, and
kept in target/bench-stream with its cache; the speed of rows in memory is measured on as many of them as FITS says.
"""

import csv
import os
import random
import sys
import time
from pathlib import Path

ROWS = int(os.environ.get("ROWS", 50_000_000))
FITS = int(os.environ.get("FITS", 1_000_000))
MEMORY = os.environ.get("MEMORY", "2GiB")
FOLDER = Path(os.environ.get("FOLDER", "target/bench-stream"))
STATERA = os.environ.get("STATERA", "target/release/statera")
DIFFERENT = 1_000_000


def make(path, n_rows):
    """Nineteen inputs (16 numbers, two categories, a count) and a target that follows from some of them."""
    if path.exists():
        return
    draw = random.Random(1)
    lines = []
    for _ in range(min(n_rows, DIFFERENT)):
        x = [draw.gauss(0, 1) for _ in range(16)]
        city, kind, n = draw.randrange(12), draw.randrange(4), draw.randrange(100)
        y = 2 * x[0] - x[1] * x[2] + 0.5 * kind + 0.01 * n + 0.3 * draw.gauss(0, 1)
        cells = [f"{v:.4f}" for v in x] + [f"city{city}", "abcd"[kind], str(n), f"{y:.4f}"]
        lines.append(",".join(cells) + "\n")
    names = [f"x{i}" for i in range(16)] + ["city", "kind", "n", "y"]
    part = path.with_suffix(".part")
    with open(part, "w", buffering=1 << 24) as file:
        file.write(",".join(names) + "\n")
        left = n_rows
        while left > 0:
            draw.shuffle(lines)
            file.writelines(lines[:left])
            left -= len(lines)
    part.rename(path)


def run(*arguments):
    """Peak memory in bytes, and seconds."""
    command = [STATERA, *map(str, arguments), "--quiet"]
    begin = time.time()
    child = os.posix_spawn(STATERA, command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss * 1024, time.time() - begin


def train(data, out, *more):
    """Peak memory in bytes, rows a second, and seconds of the whole run."""
    # Resamples of millions of test rows would take longer than all the rest.
    settings = ["--set", "train.epochs=1", "--set", "train.batch_size=256", "--set", "evaluate.bootstrap=0"]
    peak, seconds = run("train", data, "--target", "y", "--out", out, "--json", *settings, *more)
    with open(out / "history.csv") as file:
        epoch = next(csv.DictReader(file))
    return peak, float(epoch["rows_per_second"]), seconds


def fresh(name):
    """A run folder that is not there yet."""
    n = 0
    while (FOLDER / f"{name}-{n}").exists():
        n += 1
    return FOLDER / f"{name}-{n}"


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    large, small = FOLDER / f"rows-{ROWS}.csv", FOLDER / f"rows-{FITS}.csv"
    for path, n in [(large, ROWS), (small, FITS)]:
        begin = time.time()
        make(path, n)
        print(f"{n:>12,} rows of 20 columns: {path.stat().st_size / 1e9:.2f} GB, made in {time.time() - begin:.0f} s", flush=True)
    cache = ["--memory", MEMORY, "--cache", str(FOLDER / "cache"), "--set", "data.stream=always"]

    def show(what, found):
        peak, rate, seconds = found
        print(f"{what:<44} {peak / 2**30:6.2f} GiB peak  {rate:>12,.0f} rows/s  {seconds:7.1f} s in all", flush=True)

    first = train(large, fresh("first"), *cache)
    show(f"{ROWS:,} rows, cache made", first)
    model = fresh("second")
    second = train(large, model, *cache)
    show(f"{ROWS:,} rows, cache found", second)
    memory = train(small, fresh("memory"), "--set", "data.stream=never")
    show(f"{FITS:,} rows in memory", memory)
    streamed = train(small, fresh("streamed"), *cache)
    streamed = train(small, fresh("streamed"), *cache)
    show(f"{FITS:,} rows from the cache", streamed)
    print(f"rows a second from disk / in memory: {second[1] / memory[1]:.2f} ({ROWS:,} rows), {streamed[1] / memory[1]:.2f} ({FITS:,} rows)")
    print(f"peak memory: {max(first[0], second[0]) / 2**30:.2f} GiB")
    for what in [["predict", model, large, "-o", FOLDER / "predictions.csv"], ["evaluate", model, large, "--bootstrap", "0"]]:
        peak, seconds = run(*what)
        print(f"{what[0]:<44} {peak / 2**30:6.2f} GiB peak  {ROWS / seconds:>12,.0f} rows/s  {seconds:7.1f} s in all")


if __name__ == "__main__":
    main()
