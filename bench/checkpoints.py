"""What checkpoints cost: a network of a million parameters, trained with one at the end of every epoch and without any.

    cargo build --release --locked && python3 bench/checkpoints.py [ROWS] [REPEATS]

Both in turns, the best of each; the seconds are those of training alone, as metrics.json has them. Exits
with 1 where they cost 3 % or more.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS, REPEATS = [int(n) for n in (sys.argv[1:] + ["20000", "5"][len(sys.argv) - 1 :])]
BINARY = Path(__file__).resolve().parent.parent / "target/release/statera"
INPUTS = 50
GOAL = 1.03
EPOCHS = 8


def write_table(path):
    draw = random.Random(1)
    weights = [draw.gauss(0, 1) for _ in range(INPUTS)]
    with path.open("w") as out:
        out.write(",".join(f"x{i}" for i in range(INPUTS)) + ",y\n")
        for _ in range(ROWS):
            x = [draw.gauss(0, 1) for _ in range(INPUTS)]
            y = sum(a * b for a, b in zip(x, weights)) + draw.gauss(0, 1)
            out.write(",".join(f"{v:.4f}" for v in x) + f",{y:.4f}\n")


def seconds(folder, name, kept):
    settings = [
        "network.hidden=[1000,900]",
        f"train.epochs={EPOCHS}",
        "train.batch_size=256",
        "early_stopping.enabled=false",
        "evaluate.bootstrap=0",
        "evaluate.baselines=false",
        f"checkpoint.resumable={'true' if kept else 'false'}",
    ] + (["checkpoint.every_seconds=0"] if kept else [])
    command = [BINARY, "train", "table.csv", "--target", "y", "--out", name, "--quiet", "--json"]
    command += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["fit_seconds"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / "table.csv")
        best = {True: float("inf"), False: float("inf")}
        for turn in range(REPEATS):
            for kept in (False, True):
                best[kept] = min(best[kept], seconds(folder, f"run-{turn}-{kept}", kept))
        each = (best[True] - best[False]) / EPOCHS
        print(f"{ROWS:,} rows, {EPOCHS} epochs, about a million parameters, Adam; best of {REPEATS}")
        print(f"without checkpoints     {best[False]:.3f} s")
        print(f"one after every epoch   {best[True]:.3f} s = {best[True] / best[False]:.4f} times")
        print(f"                        {1000 * each:.1f} ms each")
        reached = best[True] / best[False] < GOAL
        print(f"{'reached' if reached else 'MISSED':8} under {GOAL - 1:.0%} more (goal)")
        sys.exit(not reached)


main()
