#!/usr/bin/env python3
"""Runs exports on a CUDA driver, given by its folder: all must agree, and those named here must leave nothing to the CPU."""

import argparse
import json
import os
import subprocess
import sys

WHOLE = """albert-dynamo albert-torchscript bert-classify-optimum bert-dynamo bert-mlm-dynamo bert-mlm-torchscript bert-optimum bert-optimum-fp16
bert-torchscript deberta-v2-dynamo deberta-v2-torchscript distilbert-dynamo distilbert-optimum distilbert-torchscript gpt-neox-dynamo
gpt-neox-torchscript gpt2-dynamo gpt2-optimum gpt2-optimum-fp16 gpt2-ortopt gpt2-torchscript llama-dynamo llama-genai-fp32 llama-genai-int4
llama-optimum llama-optimum-fp16 llama-ortopt llama-torchscript mistral-dynamo mistral-torchscript mixtral-dynamo mixtral-torchscript
modernbert-dynamo modernbert-torchscript olmoe-dynamo olmoe-torchscript phi3-dynamo phi3-torchscript qwen2-dynamo qwen2-genai-fp32 qwen2-genai-int4
qwen2-optimum qwen2-torchscript roberta-dynamo roberta-torchscript t5-encoder-dynamo t5-encoder-optimum t5-encoder-torchscript""".split()


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
    seen, wrong = set(), []
    for test in answer["tests"]:
        name = os.path.basename(test["folder"])
        seen.add(name)
        if not test["passed"]:
            wrong.append(f"{name}: {test['failure']}")
        elif name in WHOLE and not test["device"].endswith("on the CPU: nothing"):
            wrong.append(f"{name}: {test['device']}")
    wrong += [f"{name}: not run" for name in WHOLE if name not in seen]
    print("\n".join(wrong + [f"{answer['passed']} passed, {answer['failed']} failed; {len(WHOLE)} wholly on the device"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
