"""Makes the small tables whose answers are known: planted.csv, xor.csv, rare.csv, visits.csv.

    python3 data/make.py

Python's own generator with a fixed seed, so that they come out the same everywhere (made with Python 3.11).
"""

import csv
import datetime
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent


def write(name, header, rows):
    with open(HERE / name, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def planted(n_rows=300):
    """y = 1.5a - 2b + c + noise of deviation 1; nine more columns have nothing to do with it."""
    draw = random.Random(1)
    for _ in range(n_rows):
        x = [draw.gauss(0, 1) for _ in range(12)]
        y = 1.5 * x[0] - 2 * x[1] + x[2] + draw.gauss(0, 1)
        yield [f"{v:.3f}" for v in [*x, y]]


def xor(n_rows=400):
    """One where a and b are of different signs, which no line tells."""
    draw = random.Random(2)
    for _ in range(n_rows):
        a, b = draw.uniform(-1, 1), draw.uniform(-1, 1)
        yield [f"{a:.3f}", f"{b:.3f}", int((a > 0) != (b > 0))]


def rare(n_rows=1500):
    """About one row in twelve is a "yes": a strip at the right side, which no line cuts out."""
    draw = random.Random(3)
    for _ in range(n_rows):
        u, v = draw.uniform(-2, 2), draw.uniform(-2, 2)
        yield [f"{u:.3f}", f"{v:.3f}", "yes" if u > 1.2 and abs(v) < 0.8 else "no"]


def visits(n_patients=30, n_visits=16):
    """Sixteen visits of each of 30 patients: what height and weight say of a patient no other patient's rows tell.

    result = 10 + patient's own level + 2 * dose + noise, the level of deviation 3 and nobody's height or weight.
    """
    draw = random.Random(4)
    first = datetime.date(2022, 1, 3)
    rows = []
    for patient in range(n_patients):
        height, weight, level = draw.gauss(172, 9), draw.gauss(76, 12), draw.gauss(0, 3)
        for _ in range(n_visits):
            day = first + datetime.timedelta(days=draw.randrange(700))
            dose = draw.uniform(0, 2)
            result = 10 + level + 2 * dose + draw.gauss(0, 0.5)
            measured = [f"{height + draw.gauss(0, 0.3):.1f}", f"{weight + draw.gauss(0, 0.4):.1f}"]
            rows.append([f"p{patient:02}", day.isoformat(), *measured, f"{dose:.2f}", f"{result:.2f}"])
    draw.shuffle(rows)
    return rows


write("planted.csv", ["a", "b", "c", *(f"n{i}" for i in range(1, 10)), "y"], planted())
write("xor.csv", ["a", "b", "y"], xor())
write("rare.csv", ["u", "v", "found"], rare())
write("visits.csv", ["patient", "day", "height", "weight", "dose", "result"], visits())
