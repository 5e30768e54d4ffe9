"""Writes FOLDER/block.mlir, a module of two feed-forward blocks of small random weights in a row, and FOLDER/profile, a profile of
their inputs: block.py FOLDER [plain] [half] [bytes]. With `plain` the blocks have no gate; with `half` matrices are float16 and cast, with `bytes`
int8 and dequantised by 1/64.

Neurons 3 and 7 of the first block are duplicates, 11 nearly one of them."""

import json
import pathlib
import sys

import numpy as np

D, F, TOKENS = 16, 32, 640
folder, gated = pathlib.Path(sys.argv[1]), "plain" not in sys.argv[2:]
half, quantised = "half" in sys.argv[2:], "bytes" in sys.argv[2:]
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
    if half:
        w = {key: value.astype(np.float16) for key, value in w.items()}
    if quantised:
        w = {key: np.round(value * 64) / 64 for key, value in w.items()}
    return {key: value.astype(np.float32) for key, value in w.items()}


def stored(key, value):
    """A weight as it lies in the file, with its type there."""
    if value.ndim == 2 and half:
        return value.astype(np.float16), "f16"
    if value.ndim == 2 and quantised:
        return (value * 64).astype(np.int8), "i8"
    return value, "f32"


def run(w, x):
    a = x @ w["g"] if gated else x @ w["u"] + w["b"]
    h = a / (1 + np.exp(-a))
    return (h * (x @ w["u"] + w["b"]) if gated else h) @ w["d"]


blocks = [block(i) for i in range(2)]
lines = ["module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {"]
for i, w in enumerate(blocks):
    for key, value in w.items():
        data, kind = stored(key, value)
        shape = "x".join(map(str, value.shape)) + "x" + kind
        lines.append(f'  onnx.initializer @{key}{i} : tensor<{shape}> = dense<"0x{data.tobytes().hex().upper()}"> : tensor<{shape}>')
x = f"tensor<?x?x{D}xf32>"
lines.append(f'  func.func @main_graph(%x0: {x} {{onnx.name = "x"}}) -> ({x} {{onnx.name = "y"}}) {{')
for i, w in enumerate(blocks):
    for key, value in w.items():
        shape, kind = "x".join(map(str, value.shape)), stored(key, value)[1]
        name = f"%{key}{i}" if kind == "f32" else f"%stored_{key}{i}"
        lines.append(f"    {name} = onnx.weight @{key}{i} : tensor<{shape}x{kind}>")
        if kind == "f16":
            lines.append(f'    %{key}{i} = onnx.node "Cast"({name}) {{to = 1 : i64}} : (tensor<{shape}xf16>) -> tensor<{shape}xf32>')
        if kind == "i8":
            lines.append(f'    %step_{key}{i} = onnx.node "Constant"() {{value = dense<0.015625> : tensor<f32>}} : () -> tensor<f32>')
            lines.append(f'    %{key}{i} = onnx.node "DequantizeLinear"({name}, %step_{key}{i}) : (tensor<{shape}xi8>, tensor<f32>) -> tensor<{shape}xf32>')
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
