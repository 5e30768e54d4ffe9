#!/usr/bin/env python3
"""Runs every test of a build and ends with "N passed, N failed": unit tests, lit tests, conformance, the end-to-end models.

    test/run.py [--build build] [--only NAME]

As many suites run at once as there are processors; each prints its line when it is done.
"""
import argparse
import concurrent.futures
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv/bin/python"


def run(command, **options):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                            **options)
    return result.returncode, result.stdout


def queued(method):
    """The method's work is done by the suite's pool."""

    @functools.wraps(method)
    def queue(self, *arguments):
        self.jobs.append(self.pool.submit(method, self, *arguments))

    return queue


class Suite:
    def __init__(self):
        self.passed = self.failed = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.jobs, self.lock = [], threading.Lock()

    def add(self, name, passed, failed, output, seconds):
        with self.lock:
            self.passed += passed
            self.failed += failed
            print(f"{'ok  ' if not failed else 'FAIL'} {name}: {passed} passed, {failed} failed ({seconds:.0f} s)", flush=True)
            if failed:
                print("\n".join("    " + line for line in output.splitlines()[-40:]), flush=True)

    def wait(self):
        for job in self.jobs:
            job.result()

    @queued
    def gtest(self, binary):
        start = time.time()
        code, out = run([binary, "--gtest_brief=1"])
        passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", out)))
        failed = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test", out)))
        # A crash prints no summary.
        self.add(binary.name, passed, failed or int(code != 0 or passed == 0), out, time.time() - start)

    @queued
    def script(self, name, command):
        """A command that prints a line "N passed, N failed" of its own."""
        start = time.time()
        code, out = run(command)
        counts = re.findall(r"^(\d+) passed, (\d+) failed", out, re.M)
        passed, failed = map(int, counts[-1]) if counts else (0, 0)
        self.add(name, passed, failed or int(code != 0 or not counts), out, time.time() - start)

    @queued
    def lit(self, lit, folder):
        start = time.time()
        code, out = run([lit, "-s", folder])
        count = lambda word: sum(map(int, re.findall(rf"^\s+{word}\s*:\s*(\d+)", out, re.M)))
        if "--verbose" in sys.argv or code:
            _, out = run([lit, "-v", folder])
        passed = count("Passed")
        failed = count("Failed") + count("Unresolved") + count("Timed Out")
        self.add("lit", passed, failed or int(code != 0 or passed == 0), out, time.time() - start)

    @queued
    def ctest(self, name, build, pattern):
        """Tests that CTest starts, as it starts those of several processes. Skipped ones count as neither."""
        start = time.time()
        code, out = run(["ctest", "--test-dir", build, "--output-on-failure", "-R", pattern])
        passed = len(re.findall(r"^\s*\d+/\d+ Test .*\sPassed\s", out, re.M))
        skipped = len(re.findall(r"^\s*\d+/\d+ Test .*Skipped", out, re.M))
        failed = len(re.findall(r"^\s*\d+/\d+ Test .*\*\*\*(?!Skipped)", out, re.M))
        self.add(name, passed, failed or int(code != 0 or passed + skipped == 0), out, time.time() - start)
        if skipped:
            print(f"     not run in {name}: {skipped}")

    @queued
    def check(self, name, command):
        """A command that passes if it exits with 0."""
        start = time.time()
        code, out = run(command)
        self.add(name, int(code == 0), int(code != 0), out, time.time() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build", type=pathlib.Path, help="build folder")
    parser.add_argument("--only", default="", help="suites whose name contains this")
    args = parser.parse_args()
    build = args.build.resolve()
    python = PYTHON if PYTHON.exists() else pathlib.Path(sys.executable)
    os.environ["UOE_BUILD"] = str(build)
    suite = Suite()
    wanted = lambda name: args.only in name

    sources = [p for folder in ("bench", "dialects", "include", "lib", "passes", "runtime", "test", "tools")
               for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".cpp", ".cu", ".h", ".inc")]
    if wanted("format"):
        suite.check("format", ["clang-format-14", "--dry-run", "--Werror", *sources])
    # Graphs of stock exporters with reference outputs, where they lie beside the checkout.
    exports = ROOT.parent / "shared/data/exports"
    # The long ones first.
    if wanted("tidy"):
        suite.script("tidy", [python, ROOT / "test/tidy.py", "--build", build])
    if wanted("models"):
        suite.script("models", [python, ROOT / "test/models/minilm.py", build])
    if wanted("lit"):
        lit = next((p for p in ("/usr/lib/llvm-22/bin/lit", "/usr/lib/llvm-22/utils/lit/lit.py", "/usr/bin/lit-22") if
                    os.path.exists(p)), "lit")
        suite.lit(lit, build / "test")
    if exports.exists() and wanted("exports-ranks"):
        # Built where MPI is found.
        if (build / "bin/uoe-test-mpi").exists() and shutil.which("mpirun"):
            suite.script("exports-ranks", [python, ROOT / "test/conformance/ranks.py", "--build", build, exports])
        else:
            print("     not run: exports-ranks, without MPI", flush=True)
    for binary in sorted((build / "bin").glob("*test*")):
        if wanted(binary.name) and binary.name != "uoe-test-mpi":
            suite.gtest(binary)
    if wanted("runtime-mpi"):
        suite.ctest("runtime-mpi", build, "^runtime-mpi")
    library = build / "runtime/cpu/libuoe_runtime.so"
    for name in ("node_ops", "contrib_ops", "composite_ops", "random_ops"):
        if wanted(name):
            suite.script(name, [python, ROOT / f"test/conformance/{name}.py", "--library", library])
    if wanted("node_models"):
        suite.script("node_models", [python, ROOT / "test/conformance/node_models.py", "--uoe-run", build / "bin/uoe-run"])
    if wanted("generated"):
        suite.script("generated", [python, ROOT / "test/conformance/generated.py", "--uoe-run", build / "bin/uoe-run"])
    if exports.exists() and wanted("exports"):
        folders = [p for p in sorted(exports.iterdir()) if (p / "model.onnx").exists()]
        suite.script("exports", [build / "bin/uoe-run", "test", *folders])
        suite.script("exports-reference", [build / "bin/uoe-run", "test", "--no-fuse",
                                           *[p for p in folders if not p.name.endswith("fp16")]])
        suite.script("exports-raise", [python, ROOT / "test/conformance/raise.py", "--uoe-opt", build / "bin/uoe-opt", exports])
        suite.script("exports-shapes", [python, ROOT / "test/conformance/shape_inference.py", "--uoe-opt", build / "bin/uoe-opt",
                                        *folders])
        suite.script("exports-prove", [python, ROOT / "test/conformance/prove.py", "--uoe-opt", build / "bin/uoe-opt", exports])
        suite.script("exports-causality", [python, ROOT / "test/conformance/causality.py", "--uoe-opt", build / "bin/uoe-opt", exports])
        suite.script("exports-roll", [python, ROOT / "test/conformance/roll.py", "--build", build, exports])
        suite.script("exports-union", [python, ROOT / "test/conformance/union.py", "--build", build, exports])
        suite.script("exports-convert", [python, ROOT / "test/conformance/convert.py", "--build", build, exports])
        # Without nvcc there are no kernels to run.
        if (build / "runtime/cuda/Model.fatbin").exists():
            suite.script("exports-device", [python, ROOT / "test/conformance/device.py", "--uoe-run", build / "bin/uoe-run", "--driver",
                                            build / "test/runtime/cuda/fake", exports])
        suite.script("exports-round-trip", [python, ROOT / "test/conformance/round_trip.py", "--uoe-opt", build / "bin/uoe-opt",
                                            "--forms", "onnx,mlirbc", exports])
    if wanted("systems-device") and (build / "runtime/cuda/Model.fatbin").exists():
        suite.script("systems-device", [python, ROOT / "test/conformance/device_systems.py", "--build", build, "--driver",
                                        build / "test/runtime/cuda/fake"])
    suite.wait()
    print(f"\n{suite.passed} passed, {suite.failed} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
