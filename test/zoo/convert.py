#!/usr/bin/env python3
"""Routes models by both recipes and compares ONNX Runtime with uoe-run on the result. Ends with "N passed, N failed".

    convert.py BUILD/bin FOLDER...      folders of ONNX's backend-test layout; a folder may hold folders

Calibrated on random inputs of the recorded shapes: what is tried is that conversion works, not what it costs.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

SAMPLES = 64


def samples(name, value, random):
    """Like the recorded input, for many samples; None for what is better generated."""
    shape = (SAMPLES, *value.shape[1:])
    if "past" in name or value.ndim < 2:
        return None
    if "mask" in name:
        return np.ones(shape, value.dtype)
    if value.dtype == np.float32:
        return random.standard_normal(shape).astype(np.float32)
    if value.dtype == np.int64 and "position" not in name and "type" not in name:
        return random.integers(3, 99, shape)
    return np.broadcast_to(value[:1], shape).copy()


def check(tools, source, recipe, scratch):
    """None, or what is wrong."""
    graph = onnx.load(source / "model.onnx", load_external_data=False).graph
    recorded = {port.name: numpy_helper.to_array(onnx.load_tensor(source / f"test_data_set_0/input_{j}.pb")) for j, port in enumerate(graph.input)}
    random = np.random.default_rng(0)
    arrays = {name: samples(name, value, random) for name, value in recorded.items()}
    np.savez(scratch / "samples.npz", **{name: value for name, value in arrays.items() if value is not None})
    data = scratch / "test_data_set_0"
    data.mkdir()
    done = subprocess.run([tools / "uoe-opt", source / "model.onnx", "--recipe", recipe, "--expert-size", "4", "--budget", "0.7", "--plan", "uniform",
                           "--calibrate", scratch / "samples.npz", "--calibration-tokens", "500", "-o", scratch / "model.onnx"],
                          capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    session = onnxruntime.InferenceSession(str(scratch / "model.onnx"), providers=["CPUExecutionProvider"])
    results = session.run(None, {port.name: recorded[port.name] for port in session.get_inputs()})
    for j, port in enumerate(graph.input):
        (data / f"input_{j}.pb").write_bytes(numpy_helper.from_array(recorded[port.name], port.name).SerializeToString())
    for j, (port, value) in enumerate(zip(session.get_outputs(), results)):
        (data / f"output_{j}.pb").write_bytes(numpy_helper.from_array(np.asarray(value), port.name).SerializeToString())
    done = subprocess.run([tools / "uoe-run", "test", scratch], capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", type=pathlib.Path)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    sources = [source for folder in args.folders for source in ([folder] if (folder / "model.onnx").exists() else sorted(folder.iterdir()))
               if (source / "test_data_set_0").is_dir()]
    failed = 0
    for source in sources:
        for recipe in ("experts", "cascade"):
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    wrong = check(args.tools, source, recipe, pathlib.Path(scratch))
                except Exception as error:  # ONNX Runtime refuses it
                    wrong = str(error)
            failed += wrong is not None
            if wrong:
                print(f"FAIL {source.name} {recipe}: {wrong[:240]}", flush=True)
    print(f"{2 * len(sources) - failed} passed, {failed} failed")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
