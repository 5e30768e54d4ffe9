#!/usr/bin/env python3
"""Experts over several processes: models whose experts are placed on 2, 3 and 4 ranks give, under mpirun, the bits of one process, and what goes wrong
on one rank is an error on every rank.

    ranks.py --build build EXPORTS     the folder of exports: mixtures as they came, dense models converted

Nothing may take longer than a minute, so what hangs fails. Ends with "N passed, N failed".
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import numpy as np

LIMIT = 60  # seconds
# Open MPI's rules about root and about more processes than cores; others ignore the variables.
ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
# What turns an export into experts.
MIXTURE = ("--raise", "--moe-to-experts")
RECIPE = ("--recipe", "experts", "--budget", "0.7", "--plan", "uniform", "--calibration-window", "8")
MODELS = {"mixtral-dynamo": MIXTURE, "mixtral-torchscript": MIXTURE, "olmoe-dynamo": MIXTURE, "olmoe-torchscript": MIXTURE,
          "llama-optimum": (*RECIPE, "--expert-size", "16"), "bert-optimum": (*RECIPE, "--expert-size", "4")}
# Systems of the literature: a choice by groups, layers that share their experts, any number of experts a token, outputs that are no experts.
SIZES = "vocab=50,d=16,layers=2,heads=2,d_head=8,d_expert=16"
SYSTEMS = {"deepseek": f"{SIZES},experts=8,k=3,groups=4,group_k=2,cache=1", "moeut-244m": f"{SIZES},group=1,experts=5,k=2,att_experts=4,att_k=1,cache=1",
           "top-p": f"{SIZES},experts=4", "moe-plus-plus": f"{SIZES},experts=4"}
MODELS.update({name: ("--build", name, "--dims", dims) for name, dims in SYSTEMS.items()})
# One token, ragged shares of tokens, no tokens; with a cache a step after some.
SHAPES = (("--batch", "1", "--seq", "1"), ("--batch", "2", "--seq", "7"), ("--batch", "0"))
STEP = ("--batch", "2", "--seq", "1", "--past", "5")
CACHED = ("llama-optimum", "deepseek", "moeut-244m")


class Checks:
    def __init__(self, build, scratch):
        self.opt, self.run = build / "bin/uoe-opt", build / "bin/uoe-run"
        self.scratch = scratch
        self.passed = self.failed = 0

    def count(self, name, problem):
        self.passed, self.failed = self.passed + (not problem), self.failed + bool(problem)
        if problem:
            print(f"FAIL {name}: {problem}", flush=True)

    def start(self, *command):
        """Exit status and output of a command; status None if it takes too long."""
        try:
            result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **ENVIRONMENT})
        except subprocess.TimeoutExpired as expired:
            return None, "", f"still running after {LIMIT} s: {expired.stderr or b''}"
        return result.returncode, result.stdout, result.stderr

    def ranks(self, *commands):
        """The same for uoe-run as so many processes, each with arguments of its own."""
        parts = []
        for command in commands:
            parts += [*([":"] if parts else []), "-n", "1", self.run, *command]
        return self.start("mpirun", *parts)

    def outputs(self, arguments, ranks):
        """The outputs of a run by name, as bytes, or what is wrong. One rank: a process of its own."""
        folder = self.scratch / f"outputs{ranks}"
        shutil.rmtree(folder, ignore_errors=True)
        command = ("run", *arguments, "--output-dir", folder, "-o", "json")
        status, out, err = self.ranks(*[command] * ranks) if ranks > 1 else self.start(self.run, *command)
        if status != 0:
            return None, f"status {status}: {err.strip()[-300:]}"
        if out.count("\n") != 1:
            return None, f"not one answer: {out}"
        if json.loads(out).get("ranks", 1) != ranks:
            return None, f"ran on other ranks: {out}"
        return {path.name: np.load(path) for path in folder.iterdir()}, ""

    def convert(self, name, export, options, ranks):
        """A model with its experts on so many ranks, or what is wrong."""
        converted, sharded = self.scratch / f"{name}.mlir", self.scratch / f"{name}-{ranks}.mlir"
        if not converted.exists():
            samples = self.scratch / "samples.npy"
            np.save(samples, np.random.default_rng(0).integers(1, 64, size=2048))
            source = (export / "model.onnx",) if options[0] != "--build" else ()
            calibrate = ("--calibrate", samples) if options[0] == "--recipe" else ()
            status, _, err = self.start(self.opt, *source, *options, *calibrate, "-o", converted)
            if status != 0:
                return None, f"conversion: {err.strip()[-300:]}"
        status, _, err = self.start(self.opt, converted, f"--shard-experts=ranks={ranks}", "-o", sharded)
        if status != 0 or " shard [" not in sharded.read_text():
            return None, f"no placement: {err.strip()[-300:]}"
        return sharded, ""

    def results(self, name, export):
        """Bits of several processes, and of one: for any number of ranks, and for a placement on fewer."""
        first = None  # the results of 2 ranks: a placement changes no bit
        for ranks in (2, 3, 4):
            model, problem = self.convert(name, export, MODELS[name], ranks)
            if problem:
                self.count(f"{name}, {ranks} ranks", problem)
                return
            found = {}
            for shape in (*SHAPES, *([STEP] if name in CACHED else [])):
                whole, problem = self.outputs((model, *shape), 1)
                several, problem = self.outputs((model, *shape), ranks) if not problem else (None, problem)
                if not problem and whole.keys() != several.keys():
                    problem = f"outputs {sorted(several)} for {sorted(whole)}"
                found[shape] = several
                before = whole if first is None else first[shape]
                for key in whole if not problem else ():
                    if not (whole[key].shape == several[key].shape and whole[key].tobytes() == several[key].tobytes() == before[key].tobytes()):
                        problem = f"{key} has other bits"
                self.count(f"{name}, {ranks} ranks, {' '.join(shape)}", problem)
                if problem:
                    return
            first = first or found
        # More processes than the placement names: the others have no experts.
        model, _ = self.convert(name, export, MODELS[name], 2)
        several, problem = self.outputs((model, *SHAPES[1]), 3)
        if not problem and any(several[key].tobytes() != first[SHAPES[1]][key].tobytes() for key in several):
            problem = "other bits"
        self.count(f"{name}, placed on 2 of 3 ranks", problem)
        # All but rounding as without a placement.
        status, out, err = self.ranks(*[("compare", self.scratch / f"{name}.mlir", model, *SHAPES[1], "--tolerance", "1e-5")] * 2)
        self.count(f"{name}, compared with the whole", "" if status == 0 else f"status {status}: {out}{err}"[-500:])

    def commands(self, export):
        """The other commands on a decoder with a cache."""
        model, problem = self.convert("llama-optimum", export, MODELS["llama-optimum"], 2)
        if problem:
            return self.count("commands", problem)
        text = self.scratch / "text.npy"
        np.save(text, np.random.default_rng(1).integers(1, 64, size=64))
        evaluate = ("eval", model, "--tokens", text, "--window", "16", "--chunk", "3", "-o", "json")
        _, alone, _ = self.start(self.run, *evaluate)
        status, out, err = self.ranks(*[evaluate] * 2)
        problem = f"status {status}: {err}" if status != 0 else ""
        if not problem and json.loads(out)["loss"] != json.loads(alone)["loss"]:
            problem = f"{out} instead of {alone}"
        self.count("eval with a cache", problem)
        for arguments in (("--seq", "5", "--runs", "2", "--min-time", "0.05"), ("--past", "4", "--decode", "3", "--runs", "1")):
            status, out, err = self.ranks(*[("bench", model, *arguments, "-o", "json")] * 2)
            problem = f"status {status}: {err}" if status != 0 else ""
            if not problem and not (json.loads(out)["ranks"]["count"] == 2 == len(json.loads(out)["ranks"]["peaks"])):
                problem = out
            self.count(f"bench {' '.join(arguments)}", problem)

    def killed(self, model):
        """What is wrong when the second of two processes is killed, once the model is loaded."""
        command = ["mpirun", "-n", "2", self.run, "bench", model, "--serve"]
        with subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env={**os.environ, **ENVIRONMENT}) as launcher:
            if "ready" not in launcher.stdout.readline():
                return "not loaded"
            children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
            ranks = [int(pid) for pid in children if b"uoe-run" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
            if len(ranks) != 2:
                launcher.terminate()
                return f"expected 2 processes, found {ranks}"
            os.kill(max(ranks), signal.SIGKILL)
            try:
                return "" if launcher.wait(LIMIT) != 0 else "the status is 0"
            except subprocess.TimeoutExpired:
                launcher.terminate()
                return "the others wait"

    def errors(self, export):
        """Every rank says what is wrong on one, and the status is not 0."""
        model, problem = self.convert("mixtral-dynamo", export, MIXTURE, 2)
        four, _ = self.convert("mixtral-dynamo", export, MIXTURE, 4)
        other, _ = self.convert("mixtral-torchscript", export.parent / "mixtral-torchscript", MIXTURE, 2)
        if problem:
            return self.count("errors", problem)
        wrong = self.scratch / "wrong.npy"
        np.save(wrong, np.zeros(3, np.float32))
        blocked = self.scratch / "file"
        blocked.write_text("")
        run = ("run", model)
        for name, commands, wanted in (
                ("too few ranks", [("run", four)] * 2, "is placed on rank 2, but there are 2 ranks"),
                ("no such file on one rank", [run, ("run", self.scratch / "nowhere.mlir")], "rank 1: "),
                ("no such file", [("run", self.scratch / "nowhere.mlir")] * 3, "rank 0: "),
                ("bad input on one rank", [run, (*run, "--input", f"input_ids={wrong}")], "rank 1: "),
                ("another model", [run, ("run", other)], "rank 1 has something else than rank 0 in the model"),
                ("other inputs", [run, (*run, "--seed", "7")], "rank 1 has something else than rank 0 in the inputs"),
                ("another shape", [run, run, (*run, "--seq", "3")], "rank 2 has something else than rank 0 in the inputs"),
                ("another command", [run, ("info", model)], "has come to the end"),
                ("a bad command line on one rank", [run, (*run, "--sek", "3")], "rank 1: the command line: "),
                ("no folder for the outputs", [(*run, "--output-dir", blocked)] * 2, "rank 0: cannot create folder"),
                ("no placement", [("run", self.scratch / "mixtral-dynamo.mlir")] * 2, "none of the model's experts has a placement"),
                ("without fusion", [(*run, "--no-fuse")] * 2, "--no-fuse runs in one process"),
                ("on a device", [(*run, "--device", "cuda")] * 2, "--device cuda runs in one process"),
                ("summary", [("summary", model, model)] * 2, "summary runs in one process"),
                ("test", [("test", export)] * 2, "test runs in one process")):
            status, out, err = self.ranks(*commands)
            said = [line for line in err.splitlines() if line.startswith("error: ")]
            problem = ""
            if status in (0, None):
                problem = f"status {status}: {err}"
            elif out:
                problem = f"an answer: {out}"
            elif len(said) != len(commands):
                problem = f"{len(said)} of {len(commands)} ranks said what is wrong: {err}"
            elif not all(wanted in line for line in said):
                problem = f"expected '{wanted}', found {said}"
            self.count(name, problem)
        self.count("a process that dies", self.killed(model))
        status, _, err = self.start(self.run, "run", four)
        self.count("one process", "" if status == 0 else err)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="build folder")
    parser.add_argument("exports", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        checks = Checks(args.build.resolve(), pathlib.Path(scratch))
        for name in MODELS:
            checks.results(name, args.exports / name)
        checks.commands(args.exports / "llama-optimum")
        checks.errors(args.exports / "mixtral-dynamo")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
