"""Times one training step of the insurance network in PyTorch, on one thread.

    pip install -r bench/peers/requirements-torch.txt
    python bench/peers/torch_step.py 8 32 256

BatchNorm(11) - Dense 100 relu - BatchNorm - Dropout 0.5 - Dense 100 relu - BatchNorm -
Dropout 0.5 - Dense 100 relu - BatchNorm - Dense 1; mean squared error; Adam, 1e-3;
float32; 936 random training rows, shuffled every epoch, whole batches only.

The eager loop as people write it, with torch.optim.Adam as it comes; --fused asks for
its fused form. Batches are cut from tensors in memory, which is quicker than a DataLoader.

Prints one line of JSON: the best over repeats of time / steps, in microseconds.
"""

import os
import sys

# Before torch is imported: its thread pools take their size from these.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import json
import time

import torch
from torch import nn

torch.set_num_threads(1)

ROWS, FEATURES, WIDTH = 936, 11, 100
REPEATS, SECONDS = 7, 0.6


def norm(width):
    return nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)


def measure(batch, fused):
    torch.manual_seed(0)
    x_all, y_all = torch.randn(ROWS, FEATURES), torch.randn(ROWS, 1)
    model = nn.Sequential(
        norm(FEATURES),
        nn.Linear(FEATURES, WIDTH),
        nn.ReLU(),
        norm(WIDTH),
        nn.Dropout(0.5),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        norm(WIDTH),
        nn.Dropout(0.5),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        norm(WIDTH),
        nn.Linear(WIDTH, 1),
    )
    assert sum(p.numel() for p in model.parameters()) == 22_123
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused or None)
    criterion = nn.MSELoss()
    steps = ROWS // batch
    model.train()

    def epoch():
        order = torch.randperm(ROWS)
        total = 0.0
        for k in range(steps):
            rows = order[k * batch : (k + 1) * batch]
            optimizer.zero_grad()
            loss = criterion(model(x_all[rows]), y_all[rows])
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / steps

    first = epoch()
    epoch()

    times = []
    for _ in range(REPEATS):
        epochs, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            last = epoch()
            epochs += 1
        times.append((time.perf_counter() - start) / (epochs * steps) * 1e6)
    assert last < first, "the network does not learn"
    return round(min(times), 1)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    fused = "--fused" in arguments
    batches = [int(a) for a in arguments if a != "--fused"] or [8, 32, 256]
    step_us = {str(batch): measure(batch, fused) for batch in batches}
    print(json.dumps({
        "peer": "torch-fused-adam" if fused else "torch",
        "version": torch.__version__.split("+")[0],
        "threads": 1,
        "step_us": step_us,
    }))
