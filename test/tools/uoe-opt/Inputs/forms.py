"""Runs a routed model and its exports on FOLDER/x.npy: forms.py FOLDER ROUTED EXPORT... ROUTED by uoe-run, each export by ONNX Runtime and
by uoe-run; says for each whether all agree within 1e-4 of the largest value, and which operators it has."""

import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
x = np.load(folder / "x.npy")


def run(model):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["uoe-run", "run", folder / model, "--input", f"x={folder / 'x.npy'}", "--output-dir", out], check=True,
                       capture_output=True)
        return np.load(pathlib.Path(out) / "y.npy")


expected = run(sys.argv[2])
for name in sys.argv[3:]:
    session = onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
    errors = [np.abs(y - expected).max() / np.abs(expected).max() for y in (session.run(None, {"x": x})[0], run(name))]
    count = collections.Counter(node.op_type for node in onnx.load(folder / name).graph.node)
    print(f"{name}: {'agree' if max(errors) < 1e-4 else f'differ by {errors}'}; MoE {count['MoE']}, ScatterND {count['ScatterND']}")
