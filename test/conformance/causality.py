#!/usr/bin/env python3
"""Which real exports check-causality takes for causal.

    causality.py --uoe-opt build/bin/uoe-opt FOLDER...        folders with model.onnx; a folder may hold folders

A choice that looks ahead (a capacity) is put into each raised model: decoders have to be refused, encoders accepted. Ends with
"N passed, N failed".
"""
import argparse
import pathlib
import sys

from folders import check_all, run

DECODERS = ("gpt", "llama", "mistral", "mixtral", "olmoe", "phi", "qwen", "t5-decoder", "smollm")
CHOICE = """
    %scores = onnx.node "Constant"() {value = dense<0.0> : tensor<1x3x4xf32>} : () -> tensor<1x3x4xf32>
    %choice = uoe.select %scores all {capacity = 2 : i64} : tensor<1x3x4xf32> -> <4>
"""


def problem_of(folder, tool):
    raised = run(tool, folder / "model.onnx", "--raise", "-o", "-")
    if raised.returncode:
        return raised.stderr.strip()[:300]
    # Before the end of the main graph.
    end = raised.stdout.index("\n    return ")
    text = raised.stdout[:end] + CHOICE + raised.stdout[end + 1:]
    checked = run(tool, "-", "--check-causality", "-o", "/dev/null", input=text)
    refused = "uoe.select looks ahead in a model whose attention is causal" in checked.stderr
    if refused != bool(checked.returncode):
        return checked.stderr.strip()[:300]
    if refused != folder.name.startswith(DECODERS):
        return "is taken for causal" if refused else "is not taken for causal"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uoe-opt", required=True)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    return check_all(args.folders, lambda folder: [""], lambda folder, case: problem_of(folder, args.uoe_opt))


if __name__ == "__main__":
    sys.exit(main())
