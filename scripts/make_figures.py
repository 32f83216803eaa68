#!/usr/bin/env python3
"""Makes the figures of docs/techniques: runs each page's `statera ablate … --out NAME` and keeps its picture.

    scripts/make_figures.py [PATH_OF_STATERA]
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATERA = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/statera").resolve()

for page in sorted((ROOT / "docs/techniques").glob("*.md")):
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
        for command in block.replace("\\\n", " ").splitlines():
            words = shlex.split(command)
            if words[:2] != ["statera", "ablate"] or "--out" not in words:
                continue
            name = words[words.index("--out") + 1]
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(ROOT / "data", Path(folder) / "data")
                print("+", command, file=sys.stderr)
                subprocess.run([STATERA, *words[1:], "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
                shutil.copy(Path(folder) / name / "ablation.svg", ROOT / f"docs/techniques/figures/{name}.svg")
