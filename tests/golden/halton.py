"""Points of the Halton sequence, plain and with randomly permuted digits (Owen 2017), by SciPy.

    pip install scipy==1.17.1
    python tests/golden/halton.py

Writes halton.json beside this file: of five coordinates the first 40 points; of the randomised ones also the permutation of
each base and place, which SciPy keeps to itself (hence the pinned version).
"""

import json
from pathlib import Path

import scipy
from scipy.stats import qmc

N, D = 40, 5

plain = qmc.Halton(d=D, scramble=False)
mixed = qmc.Halton(d=D, scramble=True, rng=7)
out = {
    "scipy": scipy.__version__,
    "bases": [int(base) for base in mixed.base],
    "plain": plain.random(N).tolist(),
    "permutations": [of_base.tolist() for of_base in mixed._permutations],
    "mixed": mixed.random(N).tolist(),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
