#!/usr/bin/env python3
"""Layers of real exports as loops: rolled, rolled and unrolled again, both with the recorded results.

    roll.py --build build FOLDER...        folders with model.onnx and test_data_set_N; a folder may hold folders

Every model is taken in canonical form and raised. Tied models (ALBERT) have to become one loop over all of their layers, others have
to stay without a loop. Then float32 models with layers of their own are tied with residuals of full rank (tie-layers) and rolled, which has to
give a loop and the recorded results as well. Ends with "N passed, N failed".
"""
import argparse
import pathlib
import re
import shutil
import sys
import tempfile

from folders import check_all, run

# Iterations of models whose layers share weights, from their configurations.
TIED = {"albert": 3}
# Not tied: other arithmetic than float32; a last layer that is fused into another operator than the rest; layers in the branches of an If.
OWN = ("*-fp16", "*-int8*", "*-int4", "gpt2-ortopt", "llama-ortopt", "*-genai-*", "t5-decoder-merged-*")


def problem_of(folder, form, tools, scratch):
    """What is wrong with one model in one form, or nothing."""
    rolled, unrolled = scratch / "rolled.mlir", scratch / "unrolled.mlir"
    result = run(tools / "uoe-opt", folder / "model.onnx", f"--{form}", "--roll-layers", "-o", rolled)
    if result.returncode:
        return f"roll-layers: {result.stderr.strip()[:300]}"
    loops = [int(n) for n in re.findall(r"uoe\.recur\(.*\) times (\d+)", rolled.read_text())]
    expected = [times for name, times in TIED.items() if folder.name.startswith(name)]
    if loops != expected:
        return f"expected loops of {expected} iterations, found {loops}"
    if not loops:
        return ""
    result = run(tools / "uoe-opt", rolled, "--unroll-recur", "-o", unrolled)
    if result.returncode or "uoe.recur" in unrolled.read_text():
        return f"unroll-recur: {result.stderr.strip()[:300]}"
    for model in (rolled, unrolled):
        recorded = scratch / model.stem
        recorded.mkdir()
        for data in folder.glob("test_data_set_*"):
            shutil.copytree(data, recorded / data.name)
        result = run(tools / "uoe-opt", model, "--lower-uoe-to-onnx", "--infer-shapes", "-o", recorded / "model.onnx")
        if result.returncode:
            return f"export of {model.stem}: {result.stderr.strip()[:300]}"
        result = run(tools / "uoe-run", "test", recorded)
        if result.returncode:
            return f"{model.stem}: {(result.stdout + result.stderr).strip()[:300]}"
        # The loop as it is, against the export as it came.
        result = run(tools / "uoe-run", "compare", folder / "model.onnx", model, "--tolerance", "1e-5", "--dim", "batch=2", "--dim", "sequence=7")
        if result.returncode:
            return f"{model.stem} against the model: {(result.stdout + result.stderr).strip()[:300]}"
    return ""


def problem_of_tied(folder, tools, scratch):
    """What is wrong with one model whose layers are tied at full rank, or nothing."""
    loop = scratch / "loop.mlir"
    result = run(tools / "uoe-opt", folder / "model.onnx", "--canonical", "--tie-layers=rank=1000000", "--roll-layers=max-untied=1", "-o", loop)
    if result.returncode:
        return f"tie-layers: {result.stderr.strip()[:300]}"
    if len(re.findall(r"uoe\.recur\(", loop.read_text())) != 1:
        return f"tie-layers: expected one loop; {result.stderr.strip()[-200:]}"
    result = run(tools / "uoe-opt", loop, "--lower-uoe-to-onnx", "--infer-shapes", "-o", scratch / "model.onnx")
    if result.returncode:
        return f"export of the tied model: {result.stderr.strip()[:300]}"
    for data in folder.glob("test_data_set_*"):
        shutil.copytree(data, scratch / data.name)
    result = run(tools / "uoe-run", "test", scratch)
    return (result.stdout + result.stderr).strip()[:300] if result.returncode else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="build folder")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    tools = args.build / "bin"

    def forms(folder):
        return ["canonical", "raise"] + ["tied"] * (not any(folder.match(pattern) for pattern in OWN))

    def problem(folder, form):
        with tempfile.TemporaryDirectory() as name:
            scratch = pathlib.Path(name)
            return problem_of_tied(folder, tools, scratch) if form == "tied" else problem_of(folder, form, tools, scratch)

    return check_all(args.folders, forms, problem)


if __name__ == "__main__":
    sys.exit(main())
