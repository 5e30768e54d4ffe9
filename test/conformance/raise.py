#!/usr/bin/env python3
"""Blocks found in real exports, and what they mean.

    raise.py --uoe-opt build/bin/uoe-opt MODEL_OR_FOLDER...           how many blocks, by layer; a folder may hold folders
    raise.py --uoe-opt build/bin/uoe-opt --compare MODEL_OR_FOLDER... also outputs in ONNX Runtime, when the spelling is put back (equal)
                                                                      and when the operands' meaning replaces it (1e-5, float models)

Expected: as many layers as the table below says (2 unless it does), each with one feed-forward block or mixture, and one attention (two in a
decoder with cross-attention). Models outside the table are held to: layers without a gap, each with one
feed-forward block or mixture (--ffn-per-layer) and one or two attentions. An expert that all tokens share with
a mixture belongs to the mixture and is not counted.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from folders import recorded_inputs

# Layers, attentions per layer, kind of the other block. From the architectures' configurations.
EXPECTED = {
    "albert": (3, 1, "ffn"),
    "mixtral": (2, 1, "moe"),
    "olmoe": (2, 1, "moe"),
    "t5-decoder": (2, 2, "ffn"),
    "minilm": (6, 1, "ffn"),
    "smollm2": (30, 1, "ffn"),
}
SMALL = (2, 1, "ffn")
# One If holds the decoder twice: with and without a cache.
GRAPHS = {"t5-decoder-merged": 2}

CANONICAL = ["--canonical"]
RAISE = ["--raise-attention", "--raise-moe", "--raise-ffn"]


def run(command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def lookup(table, name, otherwise):
    matches = [key for key in table if name.startswith(key)]
    return table[max(matches, key=len)] if matches else otherwise


def check_counts(name, report, known, per_layer):
    """None, or what is wrong."""
    kinds = collections.Counter(b["kind"] for b in report["blocks"])
    graphs = lookup(GRAPHS, name, 1)
    layers, attentions, kind = lookup(EXPECTED, name, SMALL)
    if not known:
        by_layer = collections.defaultdict(collections.Counter)
        for block in report["blocks"]:
            kind = "shared" if block.get("shared") else "attention" if block["kind"] == "attention" else "ffn"
            by_layer[block["layer"]][kind] += 1
        if not by_layer or sorted(by_layer) != list(range(len(by_layer))):
            return f"layers {sorted(by_layer)}"
        for layer, count in by_layer.items():
            if not 1 <= count["attention"] <= 2 or count["ffn"] != per_layer:
                return f"layer {layer} has {dict(count)}"
        return None
    want = {"attention": layers * attentions * graphs, kind: layers * graphs}
    have = {k: kinds[k] for k in set(want) | set(kinds)}
    if have != want:
        reasons = "; ".join(f"{m['kind']} at {m['node']}: {m['reason']}" for m in report["missed"])
        return f"expected {want}, found {have}" + (f" ({reasons})" if reasons else "")
    if any(not b.get("operands", True) and not b.get("fused") for b in report["blocks"]):
        return "a block has no operands"
    return None


def inputs_of(folder, model):
    """The first recorded inputs, or none."""
    feeds = recorded_inputs(folder, model.graph)
    return feeds if len(feeds) == len(model.graph.input) else None


def outputs(path, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def difference(got, want):
    worst = 0.0
    for a, b in zip(got, want):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.shape != b.shape:
            return float("inf")
        if not a.size:
            continue
        if (np.isnan(a) != np.isnan(b)).any():
            return float("inf")
        scale = max(np.nanmax(np.abs(b)), 1e-30)
        worst = max(worst, float(np.nanmax(np.abs(a - b))) / scale)
    return worst


def check_outputs(args, path, scratch, feeds, tolerance, skip):
    """None, or what is wrong; against the canonical model, which must itself agree with the original within rounding."""
    files = {"canonical": [], "spelled": [*RAISE, "--inline-spelling"],
             "meant": [*RAISE, "--drop-spelling", "--lower-uoe-to-onnx"]}
    results = {}
    for key, passes in files.items():
        out = scratch / f"{key}.onnx"
        done = run([args.uoe_opt, path, *[p for p in CANONICAL if p not in skip], *passes, "-o", out])
        if done.returncode:
            return f"{key}: {done.stderr.strip()[:300]}"
        try:
            results[key] = outputs(out, feeds)
        except Exception as error:
            return f"{key}: {str(error)[:300]}"
    if difference(results["spelled"], results["canonical"]) != 0.0:
        return f"spelling put back differs by {difference(results['spelled'], results['canonical']):.1e}"
    meant = difference(results["meant"], results["canonical"])
    if not meant <= tolerance:
        return f"meaning differs by {meant:.1e}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uoe-opt", default="uoe-opt")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--unknown", action="store_true", help="hold all models to the rule for models outside the table")
    parser.add_argument("--ffn-per-layer", type=int, default=1, help="for models outside the table")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    args = parser.parse_args()

    models = []
    for path in args.paths:
        if path.is_dir() and not (path / "model.onnx").exists():
            models += sorted(p for p in path.glob("*/model.onnx")) + sorted(path.glob("*.onnx"))
        else:
            models.append(path / "model.onnx" if path.is_dir() else path)
    help_text = run([args.uoe_opt, "--help"]).stdout
    skip = {p for p in CANONICAL if p not in help_text}
    failures = 0
    for path in models:
        name = path.parent.name if path.name == "model.onnx" else path.stem
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            file = scratch / "report.json"
            done = run([args.uoe_opt, path, *[p for p in CANONICAL if p not in skip], *RAISE,
                        f"--raise-report=json file={file}", "-o", scratch / "raised.mlir"])
            wrong = f"uoe-opt failed: {done.stderr.strip()[:300]}" if done.returncode else None
            if not wrong:
                report = json.loads(file.read_text())
                known = not args.unknown and re.search(r"-(dynamo|torchscript|optimum|genai|ortopt)", name) is not None
                wrong = check_counts(name, report, known, args.ffn_per_layer)
                if args.verbose:
                    for block in report["blocks"]:
                        print("   ", json.dumps(block))
                    for missed in report["missed"]:
                        print("    missed", json.dumps(missed))
            if not wrong and args.compare:
                feeds = inputs_of(path.parent, onnx.load(path, load_external_data=False))
                exact = not re.search("int4|int8", name)
                if feeds is not None:
                    wrong = check_outputs(args, path, scratch, feeds, (2e-3 if "fp16" in name else 1e-5) if exact else 0.1, skip)
        failures += wrong is not None
        print(f"{'FAIL' if wrong else 'ok'} {name}{': ' + wrong if wrong else ''}", flush=True)
    print(f"{len(models) - failures} passed, {failures} failed")
    return 1 if failures or not models else 0


if __name__ == "__main__":
    sys.exit(main())
