"""Fetches what opens pages in a browser and checks them, at the versions locked in tests/pages, into target/pages.

    python3 scripts/fetch_page_tools.py

Node.js, npm and Chromium are the machine's own. Where one of them is missing, or the network, that is said and the exit
code is 0: the tests of pages say it as well.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "tests" / "pages"
OUT = ROOT / "target" / "pages"
FILES = ["package.json", "package-lock.json"]
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]


def missing():
    """Why pages cannot be checked here; nothing if they can."""
    for programme in ["node", "npm"]:
        if not shutil.which(programme):
            return f"{programme} is not installed (apt-get install nodejs npm)"
    if not any(map(shutil.which, BROWSERS)):
        return "no Chromium is installed (apt-get install chromium)"
    kept = OUT / "node_modules" / "locked.json"
    locked = (LOCKED / "package-lock.json").read_bytes()
    if kept.exists() and kept.read_bytes() == locked:
        return None
    OUT.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(LOCKED / name, OUT / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    done = subprocess.run(command, cwd=OUT, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(OUT / "node_modules", ignore_errors=True)
        why = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        return f"axe-core and playwright-core cannot be fetched ({why[0].strip()})"
    kept.write_bytes(locked)
    return None


def main():
    why = missing()
    print(f"note: NOT TESTED in a browser: {why}" if why else "what checks pages in a browser is in target/pages")


if __name__ == "__main__":
    sys.exit(main())
