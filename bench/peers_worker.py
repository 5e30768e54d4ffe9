"""One peer engine in a process of its own, which answers peers.py: `run N`, `decode`, `quit`."""

import argparse
import json
import sys
import time

import numpy as np

NUMPY = {
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32,
    "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
}


def present_of(name):
    """Name of the output that continues a past input."""
    return name.replace("past_key_values", "present", 1)


class Ports:
    """Inputs of a transformer by name; shapes as lists with numbers where they are fixed."""

    def __init__(self, inputs, head_size):
        self.inputs = inputs  # name -> (numpy type, shape)
        self.head_size = head_size

    def feed(self, ids, past):
        """Everything but a filled past, for ids [batch, n] behind `past` tokens."""
        batch, count = ids.shape
        values = {}
        for name, (kind, shape) in self.inputs.items():
            if name.startswith("past"):
                if past == 0:
                    heads = shape[1]
                    size = shape[3] if isinstance(shape[3], int) and shape[3] > 0 else self.head_size
                    values[name] = np.zeros((batch, heads, 0, size), kind)
            elif name == "input_ids":
                values[name] = ids.astype(kind)
            elif "mask" in name:
                values[name] = np.ones((batch, past + count), kind)
            elif "position" in name:
                values[name] = np.tile(np.arange(past, past + count, dtype=kind), (batch, 1))
            elif "token_type" in name:
                values[name] = np.zeros((batch, count), kind)
            else:
                raise ValueError(f"input '{name}' is not one that this benchmark knows")
        return values

    def past_names(self):
        return [name for name in self.inputs if name.startswith("past")]


class OnnxRuntime:
    def __init__(self, path, threads):
        import onnxruntime

        self.library = onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [port.name for port in self.session.get_outputs()]
        inputs = {port.name: (NUMPY[port.type], port.shape) for port in self.session.get_inputs()}
        self.ports = Ports(inputs, head_size=64)

    def value(self, array):
        return self.library.OrtValue.ortvalue_from_numpy(array)

    def run(self, feed):
        """Feeds and returns OrtValues: keys and values are handed on without a copy."""
        return dict(zip(self.outputs, self.session.run_with_ort_values(self.outputs, feed)))

    def array(self, value):
        return value.numpy()

    def keep(self, value):
        return value


class OpenVino:
    def __init__(self, path, threads):
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        config = {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32",
        }
        self.compiled = core.compile_model(model, "CPU", config)
        self.request = self.compiled.create_infer_request()
        inputs = {}
        for port in self.compiled.inputs:
            shape = [dim.get_length() if dim.is_static else -1 for dim in port.partial_shape]
            inputs[port.any_name] = (port.element_type.to_dtype(), shape)
        self.ports = Ports(inputs, head_size=64)
        self.outputs = [port.any_name for port in self.compiled.outputs]

    def value(self, array):
        return array

    def run(self, feed):
        self.request.infer(feed, share_inputs=True, share_outputs=True)
        return {name: self.request.get_tensor(name).data for name in self.outputs}

    def array(self, value):
        return value

    def keep(self, value):
        return np.array(value)  # the request writes its next result to the same place


def timed_decode(engine, ids, steps, text=None):
    """Seconds of the prefill and of each step after it: with the tokens that follow in `text`, or greedy."""
    names = engine.ports.past_names()
    if not names:
        raise ValueError("the model has no inputs for past keys and values")
    past, seconds, cache = 0, [], {}
    for _ in range(steps + 1):
        begin = time.perf_counter()
        feed = {name: engine.value(array) for name, array in engine.ports.feed(ids, past).items()}
        feed.update(cache)
        result = engine.run(feed)
        cache = {name: engine.keep(result[present_of(name)]) for name in names}
        logits = engine.array(result["logits"])
        past += ids.shape[1]
        following = int(logits[0, -1].argmax())
        ids = np.array([[following if text is None else int(text[past % len(text)])]])
        seconds.append(time.perf_counter() - begin)
    return seconds[0], seconds[1:]


def text_of(path):
    """The ids of a token file one after the other, without padding, as uoe-run takes them."""
    tokens = np.load(path).astype(np.int64)
    return tokens if tokens.ndim == 1 else np.concatenate([np.trim_zeros(row, "b") for row in tokens])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=["onnxruntime", "openvino"])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--sequence", type=int, required=True)
    parser.add_argument("--decode", type=int, default=0)
    parser.add_argument("--tokens", help="text for the token ids (.npy): a stream, or sentences padded with 0")
    args = parser.parse_args()

    def reply(message):
        print(json.dumps(message), flush=True)

    try:
        begin = time.perf_counter()
        engine = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}[args.engine](args.model, args.threads)
        load = time.perf_counter() - begin
        text = None
        if args.tokens:
            text = text_of(args.tokens)
            ids = np.resize(text, (args.batch, args.sequence))
        else:
            ids = np.random.default_rng(0).integers(3, 20000, (args.batch, args.sequence))
        feed = {name: engine.value(array) for name, array in engine.ports.feed(ids, 0).items()}
    except Exception as error:  # whatever a peer raises is its answer
        reply({"error": f"{type(error).__name__}: {error}"})
        return 1
    reply({"ready": True, "compile_seconds": load})
    for line in sys.stdin:
        request, *rest = line.split()
        if request == "quit":
            break
        try:
            if request == "run":
                seconds = []
                for _ in range(int(rest[0])):
                    begin = time.perf_counter()
                    engine.run(feed)
                    seconds.append(time.perf_counter() - begin)
                reply({"latency": seconds})
            elif request == "decode":
                prefill, seconds = timed_decode(engine, ids, args.decode, text)
                reply({"prefill": prefill, "latency": seconds})
            else:
                reply({"error": f"unknown request '{request}'"})
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
