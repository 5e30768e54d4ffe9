#!/usr/bin/env python3
"""Proves, for every model of some folders, that its decomposition into experts equals it. Ends with "N passed, N failed".

    test/conformance/prove.py [--uoe-opt build/bin/uoe-opt] [--jobs 2] MODEL.onnx|FOLDER...

Each model is split three times: into even parts that do not divide its neurons, into uneven ones in a random order, and one neuron or head apart from
the others. A model passes if uoe-opt proves all of its blocks each time; blocks that stay as they are must be mixtures of the model's own.
"""
import argparse
import concurrent.futures
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

# Reasons for which a block may stay as it is. Every other one is a failure.
JUSTIFIED = [r"^it is a mixture( of \d+ experts)? of the model's own"]


def models(paths):
    for path in map(pathlib.Path, paths):
        if path.suffix == ".onnx":
            yield path
        elif (path / "model.onnx").exists():
            yield path / "model.onnx"
        else:
            yield from sorted(path.glob("*.onnx"))
            yield from sorted(path.glob("*/model.onnx"))


def name_of(path):
    return path.parent.name if path.name == "model.onnx" else path.stem


class Case:
    def __init__(self, tool, model, folder, threads):
        self.tool, self.model, self.folder, self.threads = tool, model, folder, threads
        self.report = folder / "proof.json"

    def prove(self, *options):
        """The proof's report, and what is wrong with it."""
        self.report.unlink(missing_ok=True)
        command = [self.tool, self.model, "--prove", "--proof-report", self.report, "--num-threads", self.threads, *options, "-o", "/dev/null"]
        result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        tail = " | ".join(line for line in result.stdout.splitlines() if re.search(r"error|NOT EQUAL|terminate", line))[:600]
        if not self.report.exists():
            return {"blocks": []}, [f"exit status {result.returncode}, no report: {tail}"]
        report = json.loads(self.report.read_text())
        problems = [] if result.returncode == 0 and report["proved"] else [f"exit status {result.returncode}: {tail}"]
        for block in report["blocks"]:
            reason = block.get("not_decomposed")
            if reason and not any(re.search(allowed, reason) for allowed in JUSTIFIED):
                problems.append(f"{block['name']}: {reason}")
        return report, problems

    def run(self):
        even, problems = self.prove("--experts", 3, "--attention-groups", 2)
        split = [block for block in even["blocks"] if "sizes" in block]
        partitions = {"even": problems}
        widths = {kind: {sum(b["sizes"]) for b in split if b["kind"] == kind} for kind in ("ffn", "attention")}
        for name, sizes in (("uneven", lambda n: [n - n // 4 - n // 4 // 2, n // 4 // 2, n // 4]), ("single", lambda n: [1, n - 1])):
            options = []
            # One width for all blocks of a kind, as the command line wants it.
            for kind, size_option, order_option in (("ffn", "--expert-sizes", "--permutation"), ("attention", "--head-sizes", "--head-permutation")):
                if len(widths[kind]) != 1 or widths[kind] == {1}:
                    continue
                width = next(iter(widths[kind]))
                parts = [size for size in sizes(width) if size > 0]
                options += [size_option, ",".join(map(str, parts))]
                if name == "uneven":
                    options += [order_option, self.permutation(kind, width)]
            if options:
                partitions[name] = self.prove(*options)[1]
        failures = [f"{name}: {problem}" for name, problems in partitions.items() for problem in problems]
        worst = max((b["difference"]["relative"] for b in split if "difference" in b), default=0)
        return len(split), len(even["blocks"]) - len(split), len(partitions), worst, failures

    def permutation(self, kind, width):
        """A .npy file with a random order."""
        order = list(range(width))
        random.Random(f"{name_of(self.model)} {kind}").shuffle(order)
        header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({width},), }}"
        header += " " * (-(10 + len(header) + 1) % 64) + "\n"
        path = self.folder / f"{kind}.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() +
                         b"".join(i.to_bytes(8, "little") for i in order))
        return path


def main():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="models, or folders with model.onnx in them or below")
    parser.add_argument("--uoe-opt", default=root / "build/bin/uoe-opt", type=pathlib.Path)
    parser.add_argument("--jobs", default=2, type=int, help="models at the same time")
    args = parser.parse_args()
    passed = failed = 0

    def run(model):
        with tempfile.TemporaryDirectory() as folder:
            return model, *Case(args.uoe_opt, model, pathlib.Path(folder), 1 if args.jobs > 1 else 0).run()

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for model, split, kept, partitions, worst, failures in pool.map(run, models(args.models)):
            ok = not failures and split > 0
            passed, failed = passed + ok, failed + (not ok)
            print(f"{'pass' if ok else 'FAIL'}  {name_of(model):28} {split:3} blocks, {kept} kept, {partitions} partitions, "
                  f"largest difference {worst:.1e} relative", flush=True)
            for failure in failures:
                print(f"      {failure}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
