#!/usr/bin/env python3
"""The main job on a real model, end to end: all-MiniLM-L6-v2 is proved, converted, executed and exported.

    test/models/minilm.py BUILD        needs the Python packages of scripts/requirements.txt
"""
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CALIBRATION, EVALUATION = ROOT / "models/minilm-calibration.npy", ROOT / "models/minilm-evaluation.npy"
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAIL {name}: {detail}")


def call(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace")
    return result.returncode, result.stdout, result.stderr


def inputs(batch, sequence, seed=0):
    random = np.random.default_rng(seed)
    ids = random.integers(1000, 20000, (batch, sequence))
    mask = np.ones_like(ids)
    mask[-1, sequence * 2 // 3:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def ort(model, feeds):
    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def main():
    build = pathlib.Path(sys.argv[1])
    opt, run, out = build / "bin/uoe-opt", build / "bin/uoe-run", build / "test/models"
    out.mkdir(parents=True, exist_ok=True)
    dense = out / "minilm.onnx"
    if not dense.exists():
        code, _, err = call(sys.executable, ROOT / "models/minilm.py", dense)
        check("materialise", code == 0, err)

    def uoe(model, feeds, name):
        arguments = []
        for key, value in feeds.items():
            np.save(out / f"{key}.npy", value)
            arguments += ["--input", f"{key}={out / key}.npy"]
        code, text, err = call(run, "run", model, *arguments, "--output-dir", out / name)
        check(f"run {name}", code == 0, err)
        return np.load(out / name / "last_hidden_state.npy")

    def relative(a, b):
        return float(np.abs(a - b).max() / np.abs(b).max())

    # Dense, against ONNX Runtime; batch and sequence are dynamic.
    for shape in ((1, 1), (2, 7), (3, 64)):
        feeds = inputs(*shape)
        error = relative(uoe(dense, feeds, "dense"), ort(dense, feeds))
        check(f"dense {shape} equals ONNX Runtime", error < 1e-4, error)

    # Read and write: bit-identical.
    code, _, err = call(opt, dense, "-o", out / "copy.onnx")
    check("round trip", code == 0, err)
    feeds = inputs(2, 9)
    check("round trip is bit-identical", np.array_equal(ort(dense, feeds), ort(out / "copy.onnx", feeds)))

    # Proof, n not dividing the width; the decomposed model exports and equals the dense one.
    code, _, err = call(opt, dense, "--prove", "--experts", 7, "--calibrate", CALIBRATION, "-o", out / "experts7.onnx")
    check("proof holds", code == 0 and "proved: 12 blocks" in err, err[-2000:])
    error = relative(ort(out / "experts7.onnx", feeds), ort(dense, feeds))
    check("decomposed model in ONNX Runtime", error < 1e-4, error)

    # A corrupted partition: neuron 5 twice, neuron 6 never.
    code, _, err = call(opt, dense, "--raise", "-o", out / "raised.mlir")
    check("raise", code == 0, err)
    text = (out / "raised.mlir").read_text()
    order = list(range(1536))
    for name, first, holds in (("good", 6, True), ("corrupt", 5, False)):
        order[5:7] = [first, 11 - first if holds else 5]
        array = "array<i64: " + ", ".join(map(str, order)) + ">"
        edited, n = re.subn(r'name = "layer\.2\.ffn"', f'name = "layer.2.ffn", uoe.permutation = {array}', text, count=1)
        check("a block to corrupt", n == 1)
        (out / "edited.mlir").write_text(edited)
        code, _, err = call(opt, out / "edited.mlir", "--prove", "--experts", 8, "-o", out / "edited.onnx")
        if holds:
            check("a permuted partition is proved", code == 0, err[-2000:])
        else:
            check("a corrupted partition fails", code != 0 and re.search(r"neuron 5|twice|2 times", err), err[-2000:])

    # Routed, both recipes. Planning by the model's loss is what a user gets, and takes longest: once is enough.
    for recipe, plan in (("cascade", "loss"), ("experts", "error")):
        routed, exported = out / f"{recipe}.mlir", out / f"{recipe}.onnx"
        common = ["--recipe", recipe, "--plan", plan, "--budget", 0.75, "--calibrate", CALIBRATION, "--calibration-tokens", 2048,
                  "--profile", out / "profile"]
        code, _, err = call(opt, dense, *common, "--report", out / "report.json", "-o", routed)
        check(f"{recipe}: conversion", code == 0, err[-2000:])
        report = json.loads((out / "report.json").read_text())
        planned = set(re.findall(r"uoe\.sensitivity = (\S+)", routed.read_text()))
        check(f"{recipe}: sensitivities", len(planned) > 1 if plan == "loss" else not planned, planned)
        share = report["converted"]["ffn_multiply_adds_per_token"] / report["dense"]["ffn_multiply_adds_per_token"]
        check(f"{recipe}: the budget is met", share < 0.77, share)
        code, _, err = call(opt, routed, "-o", exported)
        check(f"{recipe}: export", code == 0, err[-2000:])
        feeds = inputs(2, 12, seed=3)
        error = relative(uoe(routed, feeds, recipe), ort(exported, feeds))
        check(f"{recipe}: export in ONNX Runtime equals uoe-run", error < 1e-4, error)
        # Converted again, and straight to ONNX.
        again = out / f"{recipe}-again.onnx"
        call(opt, dense, *common, "-o", again)
        check(f"{recipe}: same inputs, same bytes", again.exists() and again.read_bytes() == exported.read_bytes())
        code, text, err = call(run, "eval", routed, "--reference", dense, "--tokens", EVALUATION, "-o", "json")
        cosine = json.loads(text)["mean_cosine"] if code == 0 else 0
        check(f"{recipe}: sentence embeddings", cosine >= 0.975, cosine)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
