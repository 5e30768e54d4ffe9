"""Builds every preset at tiny sizes and runs it: fused, node by node, and exported in ONNX Runtime, on ragged shapes. Those that can have a key and value
cache are decoded in steps, which give what the whole sequence gives.

    presets.py FOLDER

Prints a line per preset, "N passed, N failed" at the end."""

import pathlib
import subprocess
import sys

import numpy as np

# Sizes of one preset of each kind; what is left out keeps the preset's own value.
SMALL = {
    "uoe": "vocab=50,d=16,layers=2,heads=4,k_heads=2,d_head=4,hidden=24",
    "dsmoe": "vocab=50,d=16,layers=2,heads=4,kv_heads=2,d_head=4,hidden=32,experts=4",
    "moeut-44m": "vocab=50,d=12,layers=4,heads=2,d_head=6,experts=7,d_expert=3,k=2,att_experts=3",
    "moeut-244m": "vocab=50,d=16,layers=2,group=1,heads=2,d_head=8,experts=5,d_expert=16,k=2,att_experts=4,att_k=1",
    "moeut-1b": "vocab=50,d=16,layers=4,group=4,heads=1,d_head=8,experts=5,d_expert=16,k=3,att_experts=2",
    "moeut-44m-dense": "vocab=50,d=12,layers=2,heads=2,d_head=5,hidden=31",
    "moeut-244m-dense": "vocab=50,d=16,layers=2,heads=2,d_head=8,hidden=32",
    "moeut-1b-dense": "vocab=50,d=16,layers=2,heads=4,d_head=4,hidden=33",
    "relaxed-recursive": "vocab=50,d=16,layers=6,group=2,heads=4,kv_heads=2,d_head=4,hidden=24,rank=3",
    "x-moe": "vocab=50,d=16,layers=2,heads=2,d_head=8,hidden=32,experts=6,d_expert=16,d_route=3",
    "at-moe": "vocab=50,d=16,layers=2,heads=2,d_head=8,hidden=32,experts=6,groups=3,rank=2",
    "moe-plus-plus": "vocab=50,d=16,layers=2,heads=2,d_head=8,experts=4,d_expert=16",
    "top-p": "vocab=50,d=16,layers=2,heads=2,d_head=8,experts=4,d_expert=16",
    "top-any": "vocab=50,d=16,layers=2,heads=2,d_head=8,hidden=32,experts=4,d_expert=16",
    "deepseek": "vocab=50,d=16,layers=2,heads=2,d_head=8,experts=8,d_expert=16,k=3,groups=4,group_k=2",
}
SETTINGS = {
    "uoe": ["fill=1", "over_batch=1", "causal=1"],
    "moe-plus-plus": ["zero=0,copy=2", "copy=0,constant=0"],
    "deepseek": ["shared_experts=0"],
}
SHAPES = [(1, 1), (3, 5), (2, 16), (1, 0)]


def call(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(str(c) for c in command)}: {result.stderr.strip()[-500:]}")
    return result.stdout


def close(found, expected, what):
    if found.shape != expected.shape:
        raise RuntimeError(f"{what}: shape {found.shape}, expected {expected.shape}")
    if not np.isfinite(found).all():
        raise RuntimeError(f"{what}: not finite")
    error = np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)
    if error > 1e-4:
        raise RuntimeError(f"{what}: differs by {error:.1e} of the largest value")


def check(folder, name, dims, shapes):
    import onnxruntime

    model = folder / f"{name}.mlir"
    call("uoe-opt", "--build", name, "--dims", dims, "--seed", 3, "-o", model)
    call("uoe-opt", "--build", name, "--dims", dims, "--seed", 3, "-o", folder / f"{name}.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(len(name))
    for shape in shapes:
        ids = rng.integers(0, 50, shape)
        np.save(folder / "ids.npy", ids)
        outputs = []
        for more in ([], ["--no-fuse"]):
            call("uoe-run", "run", model, "--input", f"input_ids={folder / 'ids.npy'}", "--output-dir", folder / "out", *more)
            outputs.append(np.load(folder / "out" / "logits.npy"))
        if outputs[0].shape != (*shape, 50):
            raise RuntimeError(f"{shape}: logits are {outputs[0].shape}")
        close(outputs[0], outputs[1], f"{shape}: fused")
        # An empty tensor is nothing that ONNX Runtime has to agree on.
        if ids.size:
            close(outputs[0], session.run(None, {"input_ids": ids})[0], f"{shape}: in ONNX Runtime")
            if outputs[0].std() < 0.1:
                raise RuntimeError(f"{shape}: the logits hardly differ")


def check_cache(folder, name, dims):
    """Steps of 3, 1 and 3 tokens, the first after a past of no tokens, and the same tokens at once."""
    import onnxruntime

    whole, model, exported = folder / "whole.mlir", folder / "cached.mlir", folder / "cached.onnx"
    call("uoe-opt", "--build", name, "--dims", dims, "--seed", 3, "-o", whole)
    for path in (model, exported):
        call("uoe-opt", "--build", name, "--dims", dims + ",cache=1", "--seed", 3, "-o", path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    empty = {i.name: np.zeros((2, i.shape[1], 0, i.shape[3]), np.float32) for i in session.get_inputs()[1:]}
    layers = int(dims.split("layers=")[1].split(",")[0])
    names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    if outputs != ["logits"] + [f"present.{n}" for n in names] or list(empty) != [f"past_key_values.{n}" for n in names]:
        raise RuntimeError(f"inputs {list(empty)}, outputs {outputs}")
    ids = np.random.default_rng(5).integers(0, 50, (2, 7))

    def uoe(path, more, given):
        command = ["uoe-run", "run", path, "--output-dir", folder / "out", *more]
        for i, (key, value) in enumerate(given.items()):
            np.save(folder / f"in{i}.npy", value)
            command += ["--input", f"{key}={folder / f'in{i}.npy'}"]
        call(*command)
        return [np.load(folder / "out" / f"{output}.npy") for output in outputs[:len(outputs) if len(given) > 1 else 1]]

    expected = uoe(whole, [], {"input_ids": ids})[0]
    runs = {"fused": lambda given: uoe(model, [], given), "node by node": lambda given: uoe(model, ["--no-fuse"], given),
            "in ONNX Runtime": lambda given: session.run(None, given)}
    for how, run in runs.items():
        once = run({"input_ids": ids, **empty})
        close(once[0], expected, f"{how}: with an empty past")
        past, logits = empty, []
        for begin, end in ((0, 3), (3, 4), (4, 7)):
            step = run({"input_ids": ids[:, begin:end], **past})
            logits.append(step[0])
            past = dict(zip(empty, step[1:]))
        close(np.concatenate(logits, 1), expected, f"{how}: in steps")
        for key, found, value in zip(empty, past.values(), once[1:]):
            close(found, value, f"{how}: {key} after steps")


def main():
    folder = pathlib.Path(sys.argv[1])
    lines = call("uoe-opt", "--build", "list").splitlines()
    # A name, then three lines about it, the last with its dims.
    listed = {line: lines[i + 3] for i, line in enumerate(lines) if not line.startswith(" ")}
    passed = failed = 0
    for name, dims in listed.items():
        for more in ["", *SETTINGS.get(name, [])]:
            try:
                # The same function or another setting of it: one shape.
                again = more or name.startswith(("moeut-244m", "moeut-1b"))
                check(folder, name, SMALL[name] + ("," + more if more else ""), SHAPES[1:2] if again else SHAPES)
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAIL {name} {more}: {error}")
        if "cache=" in dims:
            try:
                check_cache(folder, name, SMALL[name])
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAIL {name} with a cache: {error}")
    print(f"{passed} passed, {failed} failed")


main()
