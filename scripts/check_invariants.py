#!/usr/bin/env python3
"""Checks the invariants of ARCHITECTURE.md that can be read off the tracked files. Prints every breach."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = {"ARCHITECTURE.md": 200, "README.md": 200}
MOST_LINES_RUST = 650

IO = r"\bstd::(fs|io|net|env|process)\b|\be?print(ln)?!|\bdbg!"
ALLOCATION = (
    r"\b(Vec|Box|String|Rc|Arc|HashMap|BTreeMap)\b|\b(vec|format)!"
    r"|\.(to_vec|to_owned|to_string|collect|into_boxed_slice)\b"
)
UNSAFE = r"\bunsafe\b"
# Put together from parts, so that this file passes its own check.
MACHINE_PATH = r"(?<![\w.])/(?:" + "|".join(["work", "root", "tmp", "home/" + r"\w", "Users/" + r"\w"]) + r")\b"
REGISTRY_HOST = "|".join(
    name + r"\." + end
    for name, end in [
        ("(?:index|static)", "crates" + r"\.io"),
        ("crates", "io/api"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("proxy", "golang"),
        ("deb", "debian"),
    ]
)


def code(text):
    """Rust source without line comments, texts and the tests at its end; lines keep their numbers."""
    kept = []
    for line in text.splitlines():
        if line.strip().startswith("#[cfg(test)]"):
            break
        line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
        kept.append(re.sub(r"//.*", "", line))
    return kept


def without_lint(line):
    """A line without the lint that forbids the word, and without comment."""
    return re.sub(r"//.*|forbid\(unsafe_code\)", "", re.sub(r'"(?:[^"\\]|\\.)*"', '""', line))


def dependencies(manifest):
    """Names of all dependencies in a Cargo.toml."""
    section = ""
    for line in manifest.splitlines():
        if header := re.match(r"\[(.+)\]", line):
            section = header[1]
            if named := re.match(r".*dependencies\.([\w-]+)$", section):
                yield named[1]
        elif section.endswith("dependencies") and (key := re.match(r"([\w-]+)[\w.-]*\s*=", line)):
            yield key[1]


def main():
    breaches = []
    n_checked = {"files": 0, "nn": 0, "kernels": 0, "dependencies": 0, "tests": 0}

    def search(pattern, name, lines, rule):
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line):
                breaches.append(f"{name}:{number}: {rule}: {line.strip()[:100]}")

    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    )
    names = sorted(name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file())
    for name in names:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        n_checked["files"] += 1
        lines = text.splitlines()
        if not name.endswith(".lock"):
            search(MACHINE_PATH, name, lines, "a path of one machine")
            search(REGISTRY_HOST, name, lines, "the host of a package registry")
        if name in MOST_LINES and len(lines) > MOST_LINES[name]:
            breaches.append(f"{name}: {len(lines)} lines; at most {MOST_LINES[name]}")
        if not name.endswith(".rs"):
            continue
        if len(lines) > MOST_LINES_RUST:
            breaches.append(f"{name}: {len(lines)} lines; beyond {MOST_LINES_RUST} a file holds two ideas")
        if not name.startswith("kernels/"):
            search(UNSAFE, name, [without_lint(line) for line in lines], "unsafe code outside kernels")
        if name.startswith("kernels/src/"):
            n_checked["kernels"] += 1
            search(IO, name, code(text), "kernels do no I/O")
            search(ALLOCATION, name, code(text), "kernels do not allocate")
        if name.startswith("src/nn/"):
            n_checked["nn"] += 1
            search(IO, name, code(text), "nn does no I/O")

    libraries = (ROOT / "docs/decisions/0002-libraries.md").read_text(encoding="utf-8")
    for name in names:
        if name.rpartition("/")[2] == "Cargo.toml":
            for dependency in dependencies((ROOT / name).read_text(encoding="utf-8")):
                n_checked["dependencies"] += 1
                # The project's own crates are no libraries to justify.
                if dependency != "statera" and f"| `{dependency}`" not in libraries:
                    breaches.append(f"{name}: `{dependency}` has no line in docs/decisions/0002-libraries.md")

    # A file of tests that nothing names is not compiled, and passes without a word.
    declared = (ROOT / "tests/all.rs").read_text(encoding="utf-8") + (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    for name in names:
        if (file := re.fullmatch(r"tests/(\w+)\.rs", name)) and file[1] != "all":
            n_checked["tests"] += 1
            if not re.search(rf'^mod {file[1]};$|^name = "{file[1]}"$', declared, re.MULTILINE):
                breaches.append(f"{name}: not named in tests/all.rs, so none of its tests is run")

    for breach in breaches:
        print(breach)
    empty = [what for what, n in n_checked.items() if n == 0]
    if empty:
        print(f"error: nothing to check in {', '.join(empty)}")
    if breaches or empty:
        sys.exit(1)
    print(f"invariants hold in {n_checked['files']} files")


if __name__ == "__main__":
    main()
