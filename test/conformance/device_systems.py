#!/usr/bin/env python3
"""Runs the cases of test/systems on a CUDA driver, given by its folder: all must agree with their equations, and all but those named here must
leave nothing to the CPU.

    device_systems.py --build BUILD [--driver FOLDER]"""

import argparse
import importlib.util
import os
import pathlib
import sys

import numpy as np

SYSTEMS = pathlib.Path(__file__).resolve().parents[1] / "systems"
sys.path.insert(0, str(SYSTEMS))
import check  # noqa: E402

# What a case, or a file, leaves to the CPU.
LEFT = {}


def expected_to_leave(case):
    return any(case == name or case.startswith(name if name.endswith("_") else name + "/") for name in LEFT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--driver", help="folder of libcuda.so.1; else the system's")
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{arguments.build.resolve() / 'bin'}:{os.environ['PATH']}"
    if arguments.driver:
        os.environ["LD_LIBRARY_PATH"] = arguments.driver
    passed = failed = whole = 0
    for path in sorted(SYSTEMS.glob("*.mlir")):
        spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path.with_suffix(".py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        system = check.System(path)
        for case in system.cases:
            # The first inputs are enough: kernels have tests of their own.
            inputs, expected = next(iter(getattr(module, case)(np.random.default_rng(len(case)))))
            inputs = {n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in inputs.items()}
            name = f"{path.stem}/{case}"
            try:
                outputs = system.run(case, inputs, "device")
                problem = "" if len(outputs) == len(expected) else f"{len(outputs)} outputs"
                for found, wanted in zip(outputs, expected):
                    problem = problem or check.close(found, wanted)
                on_device = system.said.endswith("on the CPU: nothing")
                if not problem and on_device == expected_to_leave(name):
                    problem = system.said
                whole += on_device
            except Exception as error:
                problem = str(error)[:600]
            passed, failed = passed + (not problem), failed + bool(problem)
            if problem:
                print(f"FAIL {name}: {problem}")
    print(f"{passed} passed, {failed} failed; {whole} wholly on the device")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
