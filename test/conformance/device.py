#!/usr/bin/env python3
"""Runs exports on a CUDA driver, given by its folder: all must agree, and all but those named here must leave nothing to the CPU."""

import argparse
import json
import os
import subprocess
import sys

# What an export leaves to the CPU.
LEFT = {}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uoe-run", required=True)
    parser.add_argument("--driver", help="folder of libcuda.so.1; else the system's")
    parser.add_argument("exports")
    arguments = parser.parse_args()
    environment = dict(os.environ)
    if arguments.driver:
        environment["LD_LIBRARY_PATH"] = arguments.driver
    done = subprocess.run([arguments.uoe_run, "test", "--device", "cuda", "-o", "json", arguments.exports], env=environment, text=True,
                          stdout=subprocess.PIPE)
    if not done.stdout:
        return done.returncode or 1
    answer = json.loads(done.stdout)
    wrong, whole = [], 0
    for test in answer["tests"]:
        name = os.path.basename(test["folder"])
        on_device = test["device"].endswith("on the CPU: nothing")
        whole += on_device
        if not test["passed"]:
            wrong.append(f"{name}: {test['failure']}")
        elif on_device == (name in LEFT):
            wrong.append(f"{name}: {test['device']}")
    print("\n".join(wrong + [f"{answer['passed']} passed, {answer['failed']} failed; {whole} wholly on the device"]))
    return 1 if wrong or not whole else 0


if __name__ == "__main__":
    sys.exit(main())
