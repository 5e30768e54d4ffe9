"""Writes FOLDER/mixture.mlir, two mixtures of five experts with biases, top 2 of a softmax, in a row, and FOLDER/profile, a profile of their
inputs and scores: mixture.py FOLDER.

In the first one expert 4 is a copy of 1, and 3 gives nothing; in the second one nobody chooses 0, and 2 comes next."""

import json
import pathlib
import sys

import numpy as np

D, F, E, TOKENS = 6, 4, 5, 320
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(3)


def real(*shape):
    return rng.standard_normal(shape).astype(np.float32)


mixtures, rows = [], {}
for i in range(2):
    w = {"u": real(E, D, F), "b": real(E, F), "d": real(E, F, D), "c": real(E, D)}
    s = real(TOKENS, E)
    if i == 0:
        for value in w.values():
            value[4] = value[1]
        w["d"][3] = w["c"][3] = 0
    else:
        s[:, 0] = -50
        s[:, 2] -= 1
    mixtures.append(w)
    rows[f"layer.{i}.moe:input"] = real(TOKENS, D)
    rows[f"layer.{i}.moe:scores"] = s

lines = ["module attributes {onnx.opset_import = {ai.onnx = 24 : i64, com.microsoft = 1 : i64}} {"]
for i, w in enumerate(mixtures):
    for key, value in w.items():
        shape = "x".join(map(str, value.shape))
        lines.append(f'  onnx.initializer @{key}{i} : tensor<{shape}xf32> = dense<"0x{value.tobytes().hex().upper()}"> : tensor<{shape}xf32>')
x, scores = f"tensor<?x{D}xf32>", f"tensor<?x{E}xf32>"
lines.append(f'  func.func @main_graph(%x0: {x} {{onnx.name = "x"}}, %s0: {scores} {{onnx.name = "s"}}, %s1: {scores} {{onnx.name = "t"}}) '
             f'-> ({x} {{onnx.name = "y"}}) {{')
for i, w in enumerate(mixtures):
    types = {}
    for key, value in w.items():
        types[key] = f'tensor<{"x".join(map(str, value.shape))}xf32>'
        lines.append(f"    %{key}{i} = onnx.weight @{key}{i} : {types[key]}")
    lines.append(f"    %x{i + 1} = uoe.moe relu top 2 scoring softmax normalized input(%x{i} : {x}) scores(%s{i} : {scores}) "
                 f'up(%u{i} : {types["u"]}) bias_up(%b{i} : {types["b"]}) down(%d{i} : {types["d"]}) bias_down(%c{i} : {types["c"]}) '
                 f'attributes {{name = "layer.{i}.moe"}} -> {x}')
lines += [f"    return %x2 : {x}", "  }", "}"]
(folder / "mixture.mlir").write_text("\n".join(lines) + "\n")

offset, probes = 1024, []
for name, value in rows.items():
    probes.append({"name": name, "width": value.shape[1], "rows": TOKENS, "offset": offset})
    offset += value.nbytes
header = json.dumps({"format": "uoe-profile", "version": 1, "model": "", "probes": probes}).encode()
(folder / "profile").write_bytes(header.ljust(1023) + b"\n" + b"".join(value.tobytes() for value in rows.values()))
