#!/usr/bin/env python3
"""The main job on real exports: each is converted by both recipes, or its mixtures of experts are pruned and merged, and is written as ONNX; ONNX Runtime's
results on that are compared with uoe-run's on the converted model. Each converted block must be executed by its recipe's fused entry.

    convert.py --build build FOLDER...     folders with model.onnx and test_data_set_0; a folder may hold folders

Models calibrate with random token ids or random floats of the recorded inputs' shapes. Ends with "N passed, N failed".
"""
import argparse
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

from folders import check_all, recorded_inputs, run

# Largest difference to the results' largest magnitude. ONNX Runtime rounds half precision after every operator, and a value near a threshold or
# between two steps of a quantised output may then fall to the other side.
TOLERANCE = {"*-fp16": 2e-2, "*-int8dyn": 2e-2, "*": 1e-4}


def samples_for(inputs):
    """Random token ids, or else random floats of the first float input's shape."""
    random = np.random.default_rng(0)
    for name, array in inputs.items():
        if array.dtype.kind == "i" and name.endswith("input_ids"):
            return random.integers(1, array.max() + 1, size=4096)
    array = next(array for array in inputs.values() if array.dtype.kind == "f")
    return random.standard_normal((16, *array.shape[1:])).astype(array.dtype)


def difference(found, expected):
    """The largest difference of two results, relative to the largest magnitude."""
    if found.shape != expected.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30)


# Models whose feed-forward blocks are mixtures.
MIXTURES = ("mixtral-*", "olmoe-*")
OPTIONS = {"experts": ("--recipe", "experts", "--budget", "0.7", "--expert-size", "4", "--plan", "uniform"),
           "cascade": ("--recipe", "cascade", "--budget", "0.7", "--plan", "uniform"),
           "prune": ("--prune-moe", "3"), "merge": ("--merge-moe", "3")}


# Calls of the runtime that execute what a recipe made of a block; anything else is its spelling in operators, right but slow.
ENTRIES = {"experts": "Experts", "cascade": "Cascade"}


def unfused(converted, how, tools):
    """How many converted blocks are not executed by the recipe's fused entry."""
    blocks = converted.read_text().count(f'uoe.recipe = "{how}"')
    result = run(tools / "uoe-opt", converted, "--pass-pipeline=builtin.module(execute)")
    return blocks - result.stdout.count(f'rt.call "uoe" "{ENTRIES[how]}"') if blocks else 0


def problem_of(folder, how, tools, scratch):
    """What is wrong with one conversion, or nothing."""
    inputs = recorded_inputs(folder, onnx.load(folder / "model.onnx", load_external_data=False).graph)
    np.save(scratch / "samples.npy", samples_for(inputs))
    converted, exported = scratch / "converted.mlir", scratch / "converted.onnx"
    result = run(tools / "uoe-opt", folder / "model.onnx", *OPTIONS[how], "--calibrate", scratch / "samples.npy", "--calibration-window", "8",
                 "-o", converted)
    if result.returncode:
        return f"conversion: {result.stderr.strip()[-300:]}"
    if "uoe.experts" not in converted.read_text():
        return "" if "left dense: it quantises its activations" in result.stderr else "nothing was routed"
    if how in ENTRIES and (missed := unfused(converted, how, tools)) > 0:
        return f"{missed} blocks have no fused entry"
    result = run(tools / "uoe-opt", converted, "-o", exported)
    if result.returncode:
        return f"export: {result.stderr.strip()[-300:]}"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    expected = session.run(None, {name: array for name, array in inputs.items() if name in names})
    given = []
    for i, (name, array) in enumerate(inputs.items()):
        np.save(scratch / f"input_{i}.npy", array)
        given += ["--input", f"{name}={scratch / f'input_{i}.npy'}"]
    result = run(tools / "uoe-run", "run", converted, *given, "--output-dir", scratch / "results")
    if result.returncode:
        return f"run: {result.stderr.strip()[-300:]}"
    tolerance = next(value for pattern, value in TOLERANCE.items() if folder.match(pattern))
    for value, array in zip(session.get_outputs(), expected):
        worst = difference(np.load(scratch / "results" / f"{value.name}.npy"), array)
        if not worst <= tolerance:
            return f"{value.name}: {worst:.1e} from ONNX Runtime's results on the export"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="build folder")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()

    def ways(folder):
        return ("prune", "merge") if any(folder.match(pattern) for pattern in MIXTURES) else ("experts", "cascade")

    def problem(folder, how):
        with tempfile.TemporaryDirectory() as scratch:
            return problem_of(folder, how, args.build / "bin", pathlib.Path(scratch))

    return check_all(args.folders, ways, problem)


if __name__ == "__main__":
    sys.exit(main())
