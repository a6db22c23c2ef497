"""What each of two processes does in a test: trains, with all that is certain."""

import sys
from pathlib import Path

import torch

from pmi_kernel.training import fit
from tests.training.regression import CONFIG, Regression

if __name__ == "__main__":
    torch.set_num_threads(1)
    for steps in map(int, sys.argv[2:]):
        config = CONFIG.but(accumulation=1, steps=steps, schedule="none", warmup=0)
        fit(Regression(is_certain=True), config, Path(sys.argv[1]))
