"""The cost of presets at full size beside the figures that their papers give.

    costs.py FOLDER

A line for each figure: what was counted, what the paper says, the difference. Exit status 1 if one is beyond its bound."""

import json
import pathlib
import subprocess
import sys

folder = pathlib.Path(sys.argv[1])


def cost(name, dims="", sequence=1024):
    report = folder / "cost.json"
    command = ["uoe-opt", "--build", name, "--cost-report", report, "--dim", f"batch=1,sequence={sequence}", "-o", "/dev/null"]
    subprocess.run([str(c) for c in command + (["--dims", dims] if dims else [])], check=True)
    return json.loads(report.read_text())


failed = False


def compare(what, counted, paper, bound):
    global failed
    off = counted / paper - 1
    failed |= abs(off) > bound
    print(f"{what}: {counted / 1e6:.1f} M, paper {paper / 1e6:.0f} M, {off:+.1%}" + ("" if abs(off) <= bound else "  BEYOND ITS BOUND"))


def within(what, counted, low, high):
    global failed
    good = low <= counted <= high
    failed |= not good
    print(f"{what}: {counted:.4g}, in {low:.4g} .. {high:.4g}: {good}")


# Papers give two or three digits.
for name, paper in (("moeut-44m", 44e6), ("moeut-244m", 244e6), ("moeut-1b", 1040e6), ("dsmoe", 1240e6), ("moe-plus-plus", 600e6), ("top-p", 3500e6),
                    ("deepseek", 2000e6)):
    compare(f"parameters of {name}", cost(name)["parameters"], paper, 0.035)
# The dense baselines were chosen to match.
for name in ("moeut-44m", "moeut-244m", "moeut-1b"):
    routed, dense = cost(name), cost(name + "-dense")
    compare(f"parameters of {name}-dense, {name} as the paper", dense["parameters"], routed["parameters"], 0.01)
    within(f"multiply-adds of {name} over its dense twin's", routed["multiply_adds"]["most"] / dense["multiply_adds"]["most"], 0.5, 1)
# DSMoE: 735 M active parameters; thresholds allow from none of the feed-forward blocks to all.
active = cost("dsmoe")["active_parameters"]
within("DSMoE's 735 M active parameters", 735e6, active["least"], active["most"])
# MoE++: up to 0.2 G active; two feed-forward experts of a token are the most.
within("active parameters of moe-plus-plus", cost("moe-plus-plus")["active_parameters"]["most"], 0.17e9, 0.205e9)
# UoE at half of the tokens: half of the projections and feed-forward work, a quarter of the attention.
half, full = cost("uoe"), cost("uoe", "capacity=1,k=4,k_heads=8")
parts = [{k: v["most"] for k, v in c["multiply_adds_by_part"].items()} for c in (half, full)]
within("experts' work of uoe at half of the tokens", parts[0]["experts"] / parts[1]["experts"], 0.5, 0.5)
within("attention of uoe at half of the tokens", parts[0]["attention"] / parts[1]["attention"], 0.25, 0.25)
sys.exit(failed)
