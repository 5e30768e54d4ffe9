#!/usr/bin/env python3
"""Attention of real exports as a Union of Experts: heads that gather tokens and masks, with all tokens for every head, against the model itself; with half of
the tokens, against its own export in standard operators.

    union.py --build build FOLDER...       folders with model.onnx; a folder may hold folders

Every model is raised, split into groups of heads and routed, with true and with compacted positions, which agree where a head has all tokens. Those that
route-union leaves dense are named below with the reason; every other attention has to be routed. Ends with "N passed, N failed".
"""
import argparse
import fnmatch
import pathlib
import re
import sys
import tempfile

from folders import check_all, run

# Attention that stays dense: why, for the models whose names match.
DENSE = {
    "it has a cache": ("gpt2-optimum", "gpt2-ortopt", "llama-optimum", "llama-ortopt", "*-genai-*", "qwen2-optimum",
                       "t5-decoder-merged-*"),
    "it takes what another step gives": ("olmoe-*",),
    "it is a step before another one's sum": ("olmoe-*", "*-int8dyn"),
    "its mask differs between heads": ("t5-*", "deberta-*"),
    "its mask is not known to have an entry for each token": ("bert-ortopt", "distilbert-ortopt", "t5-decoder-merged-*"),
    "none of its inputs is float32 tokens [batch, sequence, d]": ("*-fp16", "*-int8*"),
}
# What has no experts of heads.
UNSPLIT = ("*-int8qdq", "*-genai-int4")


def problem_of(folder, options, tools, scratch):
    """What is wrong with one model, or nothing."""
    routed = scratch / "routed.mlir"
    result = run(tools / "uoe-opt", folder / "model.onnx", "--raise", "--decompose-attention=groups=2", f"--route-union={options}", "-o", routed)
    if result.returncode:
        return f"route-union: {result.stderr.strip()[:300]}"
    reasons = re.findall(r"remark: \S+ is left dense: (.*)", result.stderr)
    count = len(re.findall(r"routing\(.*\) gathered", routed.read_text()))
    known = [why for why, names in DENSE.items() if any(fnmatch.fnmatch(folder.name, name) for name in names)]
    unknown = [why for why in reasons if why not in known]
    if unknown or not (count or reasons or any(fnmatch.fnmatch(folder.name, name) for name in UNSPLIT)):
        return f"{count} routed, left dense: {unknown}"
    if not count:
        return ""
    model = folder / "model.onnx"
    if "all" not in options:
        model = scratch / "routed.onnx"
        result = run(tools / "uoe-opt", routed, "-o", model)
        if result.returncode:
            return f"export: {result.stderr.strip()[:300]}"
    result = run(tools / "uoe-run", "compare", model, routed, "--tolerance", "1e-5", "--batch", "2", "--seq", "9")
    return "" if result.returncode == 0 else f"{count} routed: {(result.stdout + result.stderr).strip()[-300:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="build folder")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    cases = ("all share=1", "all share=1 padding=token positions=compacted", "seed=3", "seed=3 positions=compacted padding=token")

    def problem(folder, options):
        with tempfile.TemporaryDirectory() as scratch:
            return problem_of(folder, options, args.build / "bin", pathlib.Path(scratch))

    return check_all(args.folders, lambda folder: cases, problem)


if __name__ == "__main__":
    sys.exit(main())
