"""Runs the cases of a file of this folder and compares them with references written from the papers' equations.

    check.py NAME.mlir

A case is a module of NAME.mlir (they are separated by `// -----`) under a comment `// CASE name`; NAME.py beside it gives inputs and expected
outputs: a function `name(rng)` that yields (inputs by argument name, list of expected outputs). Each case runs as it is written, node by node
(--no-fuse), with its weights as constants (so that fused entries are chosen), and exported to ONNX in ONNX Runtime. Functions `test_...` of
NAME.py check properties; they get `run(case, inputs, mode)`. Ends with "N passed, N failed"."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile
import traceback

import numpy as np

MODES = ("plain", "reference", "constant", "onnx")
TYPES = {"float32": "f32", "int64": "i64", "bool": "i1"}


class System:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.cases = {}
        for section in self.path.read_text().split("// -----"):
            name = re.search(r"^// CASE (\w+)", section, re.M)
            if name:
                self.cases[name[1]] = section
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        self.said = ""  # by the last run of uoe-run

    def module(self, case, frozen):
        """The case's text with argument names for the tools; arguments in `frozen` become constants."""
        text = self.cases[case]
        head = re.search(r"func\.func @main_graph\((.*?)\)\s*->", text, re.S)
        arguments = re.findall(r"%(\w+): (tensor<[^>]*>)", head[1])
        kept = [f'%{name}: {kind} {{onnx.name = "{name}"}}' for name, kind in arguments if name not in frozen]
        constants = []
        for name, kind in arguments:
            if name in frozen:
                value = np.ascontiguousarray(frozen[name])
                bits = "0x" + value.tobytes().hex().upper()
                constants.append(f'    %{name} = onnx.node "Constant"() {{value = dense<"{bits}"> : {kind}}} : () -> {kind}\n')
        # The body begins at the brace that ends the line of the function's results.
        start = text.index("{\n", head.end() - 1)
        body = text[start + 2:]
        return text[:head.start(1)] + ", ".join(kept) + text[head.end(1):start + 2] + "".join(constants) + body, [n for n, _ in arguments], dict(arguments)

    def run(self, case, inputs, mode="plain"):
        """Outputs of a case, in order."""
        self.count += 1
        folder = pathlib.Path(self.folder.name) / str(self.count)
        (folder / "out").mkdir(parents=True)
        _, names, kinds = self.module(case, {})
        fused = mode in ("constant", "device")
        frozen = {n: inputs[n] for n in names if "?" not in kinds[n] and not n.startswith("x")} if fused else {}
        text, names, kinds = self.module(case, frozen)
        model = folder / "case.mlir"
        model.write_text(text)
        given = {n: inputs[n] for n in names if n not in frozen}
        if mode == "onnx":
            import onnxruntime
            call(["uoe-opt", model, "--lower-uoe-to-onnx", "--infer-shapes", "-o", folder / "case.onnx"])
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(str(folder / "case.onnx"), options, providers=["CPUExecutionProvider"])
            return session.run(None, given)
        command = ["uoe-run", "run", model, "--output-dir", folder / "out"]
        for name, value in given.items():
            np.save(folder / f"{name}.npy", value)
            command += ["--input", f"{name}={folder / (name + '.npy')}"]
        flags = {"reference": ["--no-fuse"], "device": ["--device", "cuda"]}
        self.said = call(command + flags.get(mode, [])).strip()
        outputs = sorted((folder / "out").iterdir(), key=lambda p: (len(p.name), p.name))
        return [np.load(p) for p in outputs]


def call(command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(str(c) for c in command)}: {result.stderr.strip()}")
    return result.stdout


def close(found, expected, tolerance=2e-5):
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    if not expected.size:
        return ""
    error = np.max(np.abs(found.astype(np.float64) - expected)) / max(np.max(np.abs(expected)), 1e-30)
    return "" if error < tolerance else f"differs by {error:.2e} of the largest value"


def main():
    path = pathlib.Path(sys.argv[1])
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path.with_suffix(".py"))
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    system = System(path)
    passed = failed = 0

    def report(name, problem):
        nonlocal passed, failed
        passed, failed = passed + (not problem), failed + bool(problem)
        if problem:
            print(f"FAIL {name}: {problem}")

    for case in system.cases:
        if not hasattr(module, case):
            report(case, f"{path.stem}.py has no reference for it")
            continue
        for i, (inputs, expected) in enumerate(getattr(module, case)(np.random.default_rng(len(case)))):
            inputs = {n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in inputs.items()}
            for mode in MODES:
                # An empty tensor is nothing that ONNX Runtime has to agree on.
                if mode == "onnx" and not all(v.size for v in inputs.values()):
                    continue
                try:
                    outputs = system.run(case, inputs, mode)
                    problem = "" if len(outputs) == len(expected) else f"{len(outputs)} outputs"
                    for found, wanted in zip(outputs, expected):
                        problem = problem or close(found, wanted)
                except Exception as error:
                    problem = str(error)[:600]
                report(f"{case} [{i}] {mode}", problem)
    for name in dir(module):
        if name.startswith("test_"):
            try:
                getattr(module, name)(system.run)
                report(name, "")
            except Exception:
                report(name, traceback.format_exc(limit=-2))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
