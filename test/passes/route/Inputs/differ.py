"""Runs models on FOLDER/x.npy, each with fused entries and node by node: differ.py FOLDER routed=FILE FILE... Says of each further
file whether its result differs from the first one's, and whether its two ways of running agree."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

folder = pathlib.Path(sys.argv[1])


def run(model, *options):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["uoe-run", "run", folder / model, "--input", f"x={folder / 'x.npy'}", "--output-dir", out, *options], check=True,
                       capture_output=True)
        return np.load(pathlib.Path(out) / "y.npy")


def near(a, b):
    return np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


first = run(sys.argv[2].removeprefix("routed="))
for model in sys.argv[3:]:
    fused, plain = run(model), run(model, "--no-fuse")
    agree = "agree" if near(fused, plain) else f"differ by {np.abs(fused - plain).max()}"
    print(f"{model} {'is equal' if near(fused, first) else 'differs'}, fused and plain {agree}")
