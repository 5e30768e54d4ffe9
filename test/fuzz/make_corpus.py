#!/usr/bin/env python3
"""Seed corpus of the importer's fuzz target: make_corpus.py OUT_FOLDER [MODEL...]

The tests' wrong and rich models, and of ONNX's own node tests every tenth, of at most 16 KB each; further models by name.
"""
import pathlib
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
inputs = here.parent / "tools" / "uoe-opt" / "Inputs"
for script in ("bad_models.py", "rich_models.py"):
    folder = out / "made"
    subprocess.run([sys.executable, str(inputs / script), str(folder)], check=True)
    for path in folder.glob("*.onnx"):
        path.rename(out / path.name)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
for name in sys.argv[2:]:
    path = pathlib.Path(name)
    (out / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())

from onnx.backend.test.case.node import collect_testcases  # noqa: E402  (slow: after what needs no import)

for i, case in enumerate(collect_testcases(None)):
    if i % 10 == 0 and case.model is not None:
        data = case.model.SerializeToString()
        if len(data) <= 16384:
            (out / f"{case.name}.onnx").write_bytes(data)
print(len(list(out.iterdir())), "seeds in", out)
