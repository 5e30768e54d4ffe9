"""Writes FOLDER/block.mlir, a module of two feed-forward blocks of small random weights in a row, and FOLDER/profile, a profile of
their inputs: block.py FOLDER [plain]. With `plain` the blocks have no gate.

Neurons 3 and 7 of the first block are duplicates, 11 nearly one of them."""

import json
import pathlib
import sys

import numpy as np

D, F, TOKENS = 16, 32, 640
folder, gated = pathlib.Path(sys.argv[1]), "plain" not in sys.argv[2:]
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(5)


def block(i):
    w = {"u": rng.standard_normal((D, F)) / 4, "d": rng.standard_normal((F, D)) / 2, "b": 0.1 * rng.standard_normal(F)}
    if gated:
        w["g"] = rng.standard_normal((D, F)) / 4
    if i == 0:
        for key in w.keys() - {"d"}:
            w[key][..., 7] = w[key][..., 3]
            w[key][..., 11] = w[key][..., 3] * 1.01
    return {key: value.astype(np.float32) for key, value in w.items()}


def run(w, x):
    a = x @ w["g"] if gated else x @ w["u"] + w["b"]
    h = a / (1 + np.exp(-a))
    return (h * (x @ w["u"] + w["b"]) if gated else h) @ w["d"]


blocks = [block(i) for i in range(2)]
lines = ["module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {"]
for i, w in enumerate(blocks):
    for key, value in w.items():
        shape = "x".join(map(str, value.shape))
        lines.append(f'  onnx.initializer @{key}{i} : tensor<{shape}xf32> = dense<"0x{value.tobytes().hex().upper()}"> : tensor<{shape}xf32>')
x = f"tensor<?x?x{D}xf32>"
lines.append(f'  func.func @main_graph(%x0: {x} {{onnx.name = "x"}}) -> ({x} {{onnx.name = "y"}}) {{')
for i, w in enumerate(blocks):
    for key, value in w.items():
        lines.append(f'    %{key}{i} = onnx.weight @{key}{i} : tensor<{"x".join(map(str, value.shape))}xf32>')
    gate, gate_type = (f" gate(%g{i})", f" gate tensor<{D}x{F}xf32>") if gated else ("", "")
    lines.append(f'    %x{i + 1} = uoe.ffn silu %x{i} up(%u{i} + %b{i}){gate} down(%d{i}) attributes {{name = "layer.{i}.ffn"}} : '
                 f"{x}, tensor<{D}x{F}xf32>, tensor<{F}xf32>{gate_type} down tensor<{F}x{D}xf32> -> {x}")
lines += [f"    return %x{len(blocks)} : {x}", "  }", "}"]
(folder / "block.mlir").write_text("\n".join(lines) + "\n")

rows, values = [], rng.standard_normal((TOKENS, D)).astype(np.float32)
for w in blocks:
    rows.append(values)
    values = run(w, values).astype(np.float32)
base, probes = 1024, []
for i, value in enumerate(rows):
    probes.append({"name": f"layer.{i}.ffn:input", "width": D, "rows": TOKENS, "offset": base + i * value.nbytes})
header = json.dumps({"format": "uoe-profile", "version": 1, "model": "", "probes": probes}).encode()
(folder / "profile").write_bytes(header.ljust(base - 1) + b"\n" + b"".join(value.tobytes() for value in rows))
np.save(folder / "x.npy", rows[0][:96].reshape(2, 48, D))
