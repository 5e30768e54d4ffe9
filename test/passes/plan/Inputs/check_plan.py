"""Checks a plan of --shard-plan against the placements in the model's text: check_plan.py PLAN MODEL [--map]."""

import json
import pathlib
import re
import sys

plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
shards = [json.loads(f"[{s}]") for s in re.findall(r"shard \[([^]]*)\]", pathlib.Path(sys.argv[2]).read_text())]
assert plan["format"] == "uoe-shard-plan" and plan["version"] == 1
assert shards and [layer["rank_of_expert"] for layer in plan["layers"]] == shards, shards
assert plan["ranks"] == 1 + max(map(max, shards))
for layer, shard in zip(plan["layers"], shards):
    assert layer["experts"] == len(shard) == len(layer["sizes"])
    assert layer["experts_of_rank"] == [[e for e, r in enumerate(shard) if r == rank] for rank in range(plan["ranks"])]
    loads = [sum((layer.get("load") or layer["sizes"])[e] for e in experts) for experts in layer["experts_of_rank"]]
    heaviest = max(layer.get("load") or layer["sizes"])
    assert max(loads) <= sum(loads) / len(loads) + heaviest, loads  # what greedy placement promises for experts of one size
assert ("physical_to_logical_map" in plan) == ("--map" in sys.argv)
if "--map" in sys.argv:
    assert plan["physical_to_logical_map"] == [sum(layer["experts_of_rank"], []) for layer in plan["layers"]]
