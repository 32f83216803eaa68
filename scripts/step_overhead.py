#!/usr/bin/env python3
"""Counts, under valgrind, what a training step does beside its passes and its optimiser's kernel.

That is what every technique costs that is off (clipping, noise, masks, penalties, averages, accumulation), with the
cutting into shards. Fails above 1 %. Use: scripts/step_overhead.py PROGRAM, a `statera` with symbols.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 0.01
DATA = Path(__file__).resolve().parent.parent / "data" / "insurance.csv"
SETTINGS = [
    "network.norm='none'",
    "network.dropout=0",
    "network.hidden=[100,100,100]",
    "train.batch_size=32",
    "train.epochs=2",
]
STEP = r"step::Stepper<T>::step \["
PARTS = [r"network::Network::forward_backward \[", r"for f32>::adam_step \["]


def main():
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts"
        options = [word for setting in SETTINGS for word in ("--set", setting)]
        train = [sys.argv[1], "train", DATA, "--target", "charges", "--threads", "1", "--quiet", *options]
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={counts}"]
        run = Path(folder) / "run"
        subprocess.run([*valgrind, *train, "--out", run], check=True, stdout=subprocess.DEVNULL)
        annotate = ["callgrind_annotate", "--inclusive=yes", "--auto=no", counts]
        text = subprocess.run(annotate, check=True, capture_output=True, text=True).stdout

    def instructions(pattern):
        lines = [line for line in text.splitlines() if re.search(pattern, line)]
        if not lines:
            sys.exit(f"no function in the counts matches {pattern}; is the program built with symbols?")
        return int(lines[0].split()[0].replace(",", ""))

    step, parts = instructions(STEP), sum(map(instructions, PARTS))
    share = 1 - parts / step
    print(f"{step:,} instructions of steps, {step - parts:,} of them beside passes and kernel: {share:.2%} (at most {MOST:.0%})")
    sys.exit(share > MOST)


if __name__ == "__main__":
    main()
