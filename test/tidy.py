#!/usr/bin/env python3
"""clang-tidy over all sources that the build compiles. Ends with "N passed, N failed" (files).

    test/tidy.py [--build build] [--record] [--fresh] [--all] [--path TEXT]

The whole tree takes some twelve minutes of processor time. test/tidy.passed therefore holds a hash of each file, with all of ours that it
includes and the configuration, that has passed: only what changed since is checked. --record writes that file anew from what passes,
--fresh takes nothing for granted. Sources over MLIR share a precompiled header of clang-tidy's own version. The checks of SLOW walk up the
syntax tree, for which clang-tidy indexes every declaration of MLIR's headers; on such sources they run with --all only.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "dialects", "lib", "passes", "runtime", "test", "tools")
SLOW = ("bugprone-bool-pointer-implicit-conversion,bugprone-inc-dec-in-conditions,"
        "bugprone-infinite-loop,bugprone-return-const-ref-from-parameter,bugprone-standalone-empty,bugprone-swapped-arguments,"
        "bugprone-terminating-continue,bugprone-throw-keyword-missing,bugprone-undelegated-constructor,bugprone-unused-raii,"
        "bugprone-use-after-move,performance-move-const-arg,performance-unnecessary-value-param").split(",")


class Includes:
    """Hashes of a file and of everything of ours that it includes."""

    def __init__(self, folders):
        self.folders, self.texts = folders, {}
        self.tablegen = [p for folder in ("dialects", "passes") for p in (ROOT / folder).rglob("*.td")]

    def find(self, name, beside):
        for folder in (beside, *self.folders):
            path = folder / name
            if path.is_file():
                return path.resolve()
        return None

    def read(self, path):
        if path not in self.texts:
            text = path.read_bytes()
            names = [n.decode() for n in re.findall(rb'^\s*#\s*include\s+"([^"]+)"', text, re.M)]
            found = [self.find(n, path.parent) for n in names]
            # What TableGen generates is known by its source.
            if any(n.endswith(".h.inc") or n.endswith(".cpp.inc") for n in names):
                found += self.tablegen
            self.texts[path] = hashlib.sha256(text).digest(), [p for p in found if p]
        return self.texts[path]

    def digest(self, path):
        seen, stack, result = set(), [path], hashlib.sha256()
        while stack:
            next_path = stack.pop()
            if next_path not in seen:
                seen.add(next_path)
                stack += self.read(next_path)[1]
        for one in sorted(seen):
            result.update(self.read(one)[0])
        return result.hexdigest()


def arguments(entry, build):
    """A compile command without what names outputs and the build's own precompiled header; generated headers are the system's."""
    words, flags, over_mlir = shlex.split(entry["command"]), [], False
    while "clang" not in os.path.basename(words[0]) and "++" not in os.path.basename(words[0]):
        words.pop(0)
    words = iter(words[1:])
    for word in words:
        if word == "-Xclang":
            over_mlir |= bool(re.search(r"/uoe_pch\w*\.dir/.*\.pch$", next(words)))
        elif word in ("-o", "-c"):
            next(words)
        elif word == f"-I{build}":
            flags += ["-isystem", str(build)]
        # Levels of optimisation differ between the targets that share the precompiled header.
        elif not (word.endswith((".pch", ".hxx", ".cpp")) or word == "-Winvalid-pch" or re.fullmatch(r"-O\w", word)):
            flags.append(word)
    return flags, over_mlir


def sources(path):
    """The files that one compile command is for: those that CMake joined (UOE_UNITY), or the one."""
    if path.parent.name != "Unity":
        return [path]
    return [pathlib.Path(name) for name in re.findall(r'^#include "(.+)"', path.read_text(), re.M)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--record", action="store_true", help="write test/tidy.passed")
    parser.add_argument("--fresh", action="store_true", help="check what has passed before too")
    parser.add_argument("--all", action="store_true", help="the slow checks on sources over MLIR too")
    parser.add_argument("--path", default="", help="only files with this text in their path")
    parser.add_argument("--clang", default="clang++-22")
    parser.add_argument("--clang-tidy", default="clang-tidy-22")
    args = parser.parse_args()
    build = args.build.resolve()
    stamps = build / "tidy"
    stamps.mkdir(exist_ok=True)

    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        for path in sources(pathlib.Path(entry["file"])):
            if ROOT in path.parents and path.relative_to(ROOT).parts[0] in FOLDERS and path.suffix == ".cpp" and args.path in str(path):
                entries.setdefault(path, entry)
    includes = Includes([ROOT, ROOT / "include"])
    version = subprocess.run([args.clang_tidy, "--version"], capture_output=True, text=True, check=True).stdout
    common = " ".join(re.findall(r"version (\d+)", version)) + (ROOT / ".clang-tidy").read_text() + ",".join(SLOW) * (not args.all)

    record = ROOT / "test/tidy.passed"
    known = set(record.read_text().split()[1::2]) if record.exists() else set()
    passed, jobs = {}, []
    for path, entry in sorted(entries.items()):
        key = hashlib.sha256((common + includes.digest(path)).encode()).hexdigest()[:32]
        if not args.fresh and (key in known or (stamps / key).exists()):
            passed[path] = key
        else:
            jobs.append((path, *arguments(entry, build), key))

    header = stamps / "mlir.pch"
    mlir = next((flags for _, flags, over_mlir, _ in jobs if over_mlir), None)
    if mlir:
        result = subprocess.run([args.clang, "-w", *mlir, "-fpch-instantiate-templates",
                                 "-x", "c++-header", ROOT / "cmake/Pch.h", "-o", header], cwd=build, capture_output=True, text=True)
        if result.returncode:
            print(result.stderr)
            print("0 passed, 1 failed")
            return 1

    def check(job):
        path, flags, over_mlir, key = job
        command = [args.clang_tidy, "--quiet", "--warnings-as-errors=*"]
        if over_mlir and not args.all:
            command.append("--checks=" + ",".join("-" + name for name in SLOW))
        extra = ["-include-pch", str(header)] if over_mlir else []
        result = subprocess.run([*command, path, "--", *flags, *extra], cwd=build, capture_output=True, text=True)
        if result.returncode == 0:
            (stamps / key).touch()
            passed[path] = key
        return path, result

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in pool.map(check, jobs):
            if result.returncode:
                failed += 1
                print(f"{path.relative_to(ROOT)}:\n{result.stdout}{result.stderr if not result.stdout else ''}", flush=True)
    if args.record and not args.path:
        record.write_text("".join(f"{path.relative_to(ROOT)} {key}\n" for path, key in sorted(passed.items())))
    print(f"{len(passed)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
