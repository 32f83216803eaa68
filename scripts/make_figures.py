#!/usr/bin/env python3
"""Makes the figures of docs/techniques: runs the commands of a page, in their order, where they draw a picture, and keeps it.

    scripts/make_figures.py [PATH_OF_STATERA [PAGE…]]

A picture is the one of `ablate … --out NAME` or `lr-test … --out NAME`, or of `inspect … --svg NAME.svg`. Pages without
one are passed over.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs/techniques/figures"
STATERA = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/statera").resolve()



def picture(words):
    """Where a command leaves its picture, and the name it is kept under; none for others."""
    after = lambda option: words[words.index(option) + 1] if option in words else None
    if words[1] in ("ablate", "lr-test") and after("--out"):
        return f"{after('--out')}/{'ablation' if words[1] == 'ablate' else words[1]}.svg", after("--out") + ".svg"
    if words[1] == "inspect" and after("--svg"):
        return after("--svg"), after("--svg")
    return None


pages = sys.argv[2:] or sorted((ROOT / "docs/techniques").glob("*.md"))
for page in map(Path, pages):
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [words for words in map(lambda line: shlex.split(line, comments=True), commands) if words[:1] == ["statera"]]
    with tempfile.TemporaryDirectory() as folder:
        for brought in ("data", "recipes"):
            shutil.copytree(ROOT / brought, Path(folder) / brought)
        # What the last picture needs, such as a run to look at, stands before it.
        last = max((i for i, words in enumerate(commands) if picture(words)), default=-1)
        for words in commands[: last + 1]:
            found = picture(words)
            if not found and words[1] != "train":
                continue
            print("+", shlex.join(words), file=sys.stderr)
            subprocess.run([STATERA, *words[1:]], cwd=folder, check=True, capture_output=True)
            if found:
                shutil.copy(Path(folder) / found[0], FIGURES / found[1])
