#!/usr/bin/env python3
"""Times uoe-run against its peers, by turns, and prints ratios with their spread.

Every engine is a child process that loads its model once and then answers requests on stdin. Rounds go
through all engines in turn, so that whatever else the machine does meets all of them alike. Each engine
is compared with ONNX Runtime on the same dense model, round by round.

    bench/peers.py --uoe-run build/bin/uoe-run --minilm minilm.onnx --smollm2 smollm2.onnx \
        --smollm2-converted smollm2-half.onnx --json peers.json --markdown peers.md
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time

from peers_cases import CASES, Case

HERE = os.path.dirname(os.path.abspath(__file__))


class Engine:
    """A child process that answers lines with JSON lines."""

    def __init__(self, label, command):
        self.label = label
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"{self.label} ended with status {self.process.returncode}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{self.label}: {reply['error']}")
        return reply

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def resident(self):
        """Bytes of peak resident memory of the child."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.flush()
                self.process.wait(timeout=30)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


def uoe_command(args, case: Case, model):
    command = [args.uoe_run, "bench", model, "--serve", "-o", "json", "--threads", str(args.threads)]
    if text := getattr(args, case.model + "_tokens"):
        command += ["--tokens", text]
    if case.decode:
        return command + ["--past", str(case.sequence), "--decode", str(case.decode)]
    return command + ["--batch", str(case.batch), "--seq", str(case.sequence)]


def peer_command(args, case: Case, engine, model):
    text = getattr(args, case.model + "_tokens")
    return [
        sys.executable, os.path.join(HERE, "peers_worker.py"), engine, model,
        "--threads", str(args.threads), "--batch", str(case.batch),
        "--sequence", str(case.sequence), "--decode", str(case.decode),
        *(["--tokens", text] if text else []),
    ]


def engines_of(args, case: Case):
    """(label, command) of everything that takes part in a case; ONNX Runtime on the dense model first."""
    dense = getattr(args, case.model)
    converted = getattr(args, case.model + "_converted")
    engines = []
    for name in ("onnxruntime", "openvino"):
        if importlib.util.find_spec(name) and name not in args.without:
            engines.append((f"{name} dense", peer_command(args, case, name, dense)))
    engines.append(("uoe dense", uoe_command(args, case, dense)))
    for path in converted:
        suffix = "" if len(converted) == 1 else f" ({os.path.basename(path)})"
        engines.append((f"uoe converted{suffix}", uoe_command(args, case, path)))
        if args.peers_converted and importlib.util.find_spec("onnxruntime"):
            command = peer_command(args, case, "onnxruntime", path)
            engines.append((f"onnxruntime converted{suffix}", command))
    return engines


def measure(args, case: Case):
    engines, failures = [], {}
    for label, command in engines_of(args, case):
        try:
            engines.append(Engine(label, command))
        except (RuntimeError, OSError, json.JSONDecodeError) as error:
            failures[label] = str(error)
            print(f"{case.name}: {label} cannot take part: {error}", file=sys.stderr)
    # label -> seconds of each round (the median within the round)
    rounds = {engine.label: [] for engine in engines}
    prefill = {engine.label: [] for engine in engines}
    repeats = {}
    try:
        for engine in engines:  # warm-up, and how many runs fill a turn
            if case.decode:
                engine.ask("decode")
                continue
            engine.ask("run 2")
            once = statistics.median(engine.ask("run 3")["latency"])
            repeats[engine.label] = max(3, min(200, int(args.turn / max(once, 1e-6))))
        for turn in range(args.rounds):
            # The order is rotated, so that nobody always follows the same neighbour.
            for engine in engines[turn % len(engines):] + engines[: turn % len(engines)]:
                time.sleep(0.05)  # threads of the one before fall asleep
                request = "decode" if case.decode else f"run {repeats[engine.label]}"
                reply = engine.ask(request)
                rounds[engine.label].append(statistics.median(reply["latency"]))
                if "prefill" in reply:
                    prefill[engine.label].append(reply["prefill"])
            print(f"{case.name}: round {turn + 1} of {args.rounds}", file=sys.stderr)
        memory = {engine.label: engine.resident() for engine in engines}
        ready = {engine.label: engine.ready for engine in engines}
    finally:
        for engine in engines:
            engine.close()
    return rounds, memory, ready, failures


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    cut = statistics.quantiles(values, n=4, method="inclusive")
    return cut[0], cut[2]


def summarize(case: Case, rounds, memory, ready, baseline):
    rows = []
    for label, seconds in rounds.items():
        row = {
            "engine": label,
            "seconds": statistics.median(seconds),
            "quartiles": quartiles(seconds),
            "tokens_per_second": case.tokens / statistics.median(seconds),
            "peak_memory": memory[label],
            "load_seconds": ready[label].get("compile_seconds"),
            "rounds": seconds,
        }
        if baseline in rounds:
            ratios = [mine / theirs for mine, theirs in zip(seconds, rounds[baseline])]
            row["ratio"] = statistics.median(ratios)
            row["ratio_quartiles"] = quartiles(ratios)
        rows.append(row)
    return rows


def machine(args):
    model, flags = platform.processor(), []
    with open("/proc/cpuinfo") as info:
        for line in info:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags" and not flags:
                flags = value.split()
    wanted = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
    versions = {"python": platform.python_version()}
    for package in ("onnxruntime", "openvino", "numpy"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    try:
        versions["uoe"] = subprocess.run(
            ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return {
        "cpu": model,
        "flags": [flag for flag in wanted if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "threads": args.threads,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
        "versions": versions,
    }


def markdown(result):
    host = result["machine"]
    lines = [
        f"{host['cpu']} ({' '.join(host['flags'])}), {host['cores']} cores, {host['threads']} threads, "
        f"{host['date']}, load {host['load_before']:.1f} at the start; "
        + ", ".join(f"{name} {version}" for name, version in host["versions"].items()),
        "",
        f"Median of {result['rounds']} rounds by turns; in brackets the quartiles. The ratio is the time over that of "
        f"{result['baseline']} in the same round: below 1 is faster.",
        "",
        "| case | engine | time, ms | tokens/s | ratio | peak memory, MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for case in result["cases"]:
        for row in case["rows"]:
            low, high = (1e3 * value for value in row["quartiles"])
            ratio = "-"
            if "ratio" in row:
                ratio = f"{row['ratio']:.2f} [{row['ratio_quartiles'][0]:.2f}, {row['ratio_quartiles'][1]:.2f}]"
            lines.append(
                f"| {case['name']} | {row['engine']} | {1e3 * row['seconds']:.2f} [{low:.2f}, {high:.2f}] "
                f"| {row['tokens_per_second']:.0f} | {ratio} | {row['peak_memory'] / 2**20:.0f} |"
            )
        for label, reason in case["failures"].items():
            lines.append(f"| {case['name']} | {label} | did not run: {reason.splitlines()[0]} | | | |")
    return "\n".join(lines) + "\n"


def add_measuring(parser, turn):
    """Options of every benchmark by turns."""
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turn", type=float, default=turn, help="seconds of one engine's turn, about")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--markdown", metavar="FILE")


def publish(args, result, text):
    """Prints the text and writes the files that were asked for."""
    print(text, end="")
    for path, content in ((args.json, json.dumps(result, indent=1) + "\n"), (args.markdown, text)):
        if path:
            with open(path, "w") as file:
                file.write(content)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uoe-run", default=os.path.join(HERE, "..", "build", "bin", "uoe-run"))
    parser.add_argument("--minilm", help="dense encoder (MiniLM): input_ids, attention_mask, token_type_ids")
    parser.add_argument("--minilm-converted", action="append", default=[], metavar="MODEL")
    parser.add_argument("--smollm2", help="dense decoder (SmolLM2) with past and present keys and values")
    parser.add_argument("--smollm2-converted", action="append", default=[], metavar="MODEL")
    for model in ("minilm", "smollm2"):
        parser.add_argument(f"--{model}-tokens", metavar="TEXT",
                            help="its text for all engines (.npy): a stream of ids, or sentences padded with 0; without, ids are random")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only these")
    parser.add_argument("--without", action="append", default=[], choices=["onnxruntime", "openvino"])
    parser.add_argument("--peers-converted", action="store_true", help="ONNX Runtime on the converted models too")
    add_measuring(parser, turn=0.5)
    args = parser.parse_args()
    if not args.minilm and not args.smollm2:
        parser.error("give --minilm MODEL, --smollm2 MODEL or both")
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def main():
    args = parse()
    baseline = "onnxruntime dense"
    result = {"machine": machine(args), "rounds": args.rounds, "baseline": baseline, "cases": []}
    ran = False
    for case in CASES:
        if not getattr(args, case.model) or (args.case and case.name not in args.case):
            continue
        rounds, memory, ready, failures = measure(args, case)
        rows = summarize(case, rounds, memory, ready, baseline)
        ran = ran or bool(rows)
        result["cases"].append({"name": case.name, "rows": rows, "failures": failures})
    text = markdown(result)
    publish(args, result, text)
    return 0 if ran and not any(case["failures"] for case in result["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
