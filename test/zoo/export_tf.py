#!/usr/bin/env python3
"""Exports tiny models of TensorFlow and Keras by tf2onnx, with inputs and the outputs of ONNX Runtime beside them.

    export_tf.py FOLDER [--opset N] [NAME...]

Needs tensorflow-cpu, keras, keras-hub, tf2onnx and onnxruntime. Same layout and habits as export.py: FOLDER/NAME/model.onnx with test_data_set_0 and
_1, batch and sequence left open; what is there already is kept.
"""
import argparse
import inspect
import os
import pathlib
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import keras_hub
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper

# What a backbone is built with, of those that its constructor takes.
SIZES = dict(vocabulary_size=100, num_layers=2, num_heads=4, num_query_heads=4, num_key_value_heads=2, hidden_dim=32, intermediate_dim=64, head_dim=8,
             embedding_dim=32, max_sequence_length=64, num_segments=2, bucket_size=8, dropout=0.0, sliding_window=4, layer_norm_epsilon=1e-5,
             num_experts=4, top_k=2, moe_intermediate_dim=16, shared_expert_intermediate_dim=16, image_shape=(32, 32, 3), patch_size=8,
             mlp_dim=64, num_mels=8, max_encoder_sequence_length=16, max_decoder_sequence_length=16, max_position_embeddings=64)
BACKBONES = {
    "Bert": {}, "Roberta": {}, "XLMRoberta": {}, "DistilBert": {}, "Albert": {}, "DebertaV3": {}, "XLNet": {}, "RoformerV2": {"head_size": 8},
    "ESM": {"use_rotary": True}, "T5": {"key_value_dim": 8}, "Bart": {}, "Whisper": {}, "GPT2": {}, "GPTNeoX": {}, "OPT": {}, "Bloom": {},
    "Falcon": {"num_attention_heads": 4}, "Llama": {}, "Llama3": {}, "Mistral": {}, "Mixtral": {}, "Phi3": {}, "Qwen": {}, "Qwen3": {}, "QwenMoe": {}, "Qwen3Moe": {},
    "Gemma": {}, "Gemma3": {"image_size": 32},
    "ViT": {}, "DeiT": {}, "GptOss": {}, "DINOV2": {"num_register_tokens": 0, "use_swiglu_ffn": False, "intermediate_dim": 64, "patch_size": 8},
}


def mask_of(ids):
    return tf.cast(tf.not_equal(ids, 0), tf.float32)


def keras_encoder(attention, activation="gelu", norm_first=False, causal=False, masked=True, dtype="float32", heads=None):
    """Two layers over keras.layers, as Keras's own examples are written."""
    keras.config.set_dtype_policy(dtype)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(100, 32, mask_zero=masked)(ids)
    for _ in range(2):
        if attention == "gqa":
            layer = keras.layers.GroupQueryAttention(head_dim=8, num_query_heads=4, num_key_value_heads=2)
        else:
            layer = keras.layers.MultiHeadAttention(4, 8)
        norm = keras.layers.LayerNormalization() if attention != "rms" else keras.layers.RMSNormalization()
        y = norm(x) if norm_first else x
        y = layer(y, y, use_causal_mask=causal)
        x = keras.layers.Add()([x, y])
        x = x if norm_first else norm(x)
        norm = keras.layers.LayerNormalization()
        y = norm(x) if norm_first else x
        y = keras.layers.Dense(64, activation=activation)(y)
        y = keras.layers.Dropout(0.1)(keras.layers.Dense(32)(y))
        x = keras.layers.Add()([x, y])
        x = x if norm_first else norm(x)
    model = keras.Model(ids, x)
    keras.config.set_dtype_policy("float32")
    return model, [tf.TensorSpec((None, None), tf.int32, name="ids")]


def cross_decoder():
    source, ids = keras.Input((None, 32), name="source"), keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(100, 32)(ids)
    for _ in range(2):
        x = keras_hub.layers.TransformerDecoder(64, 4, activation="relu")(x, source)
    return keras.Model([source, ids], x), [tf.TensorSpec((None, None, 32), tf.float32, name="source"), tf.TensorSpec((None, None), tf.int32, name="ids")]


def hub_layers(kind):
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras_hub.layers.TokenAndPositionEmbedding(100, 32, 32, mask_zero=True)(ids) if kind != "sine" else keras.layers.Embedding(100, 32)(ids)
    if kind == "sine":
        x = x + keras_hub.layers.SinePositionEncoding()(x)
    for _ in range(2):
        layer = keras_hub.layers.TransformerDecoder if kind == "decoder" else keras_hub.layers.TransformerEncoder
        x = layer(64, 4, activation="gelu")(x)
    return keras.Model(ids, keras.layers.Dense(100)(x)), [tf.TensorSpec((None, None), tf.int32, name="ids")]


class Raw(tf.Module):
    """Encoders over tf's own operators: as google-research's BERT, fused projections, Einsum in every place, gates."""

    def __init__(self, kind):
        super().__init__()
        random = np.random.default_rng(7)
        self.kind, self.weights = kind, []
        self.draw = lambda *shape: tf.Variable(random.standard_normal(shape).astype(np.float32) * 0.2)
        self.table = self.draw(100, 32)
        for _ in range(2):
            names = dict(q=(32, 32), k=(32, 32), v=(32, 32), o=(32, 32), up=(32, 64), gate=(32, 64), down=(64, 32))
            self.weights.append({n: self.draw(*s) for n, s in names.items()} | {"b" + n: self.draw(s[1]) for n, s in names.items()} |
                                {f"{n}{i}": self.draw(32) for n in ("g", "h") for i in (0, 1)})

    @staticmethod
    def norm(x, scale, shift):
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, 1e-12)

    def attend(self, x, mask, w):
        batch, length = tf.shape(x)[0], tf.shape(x)[1]
        if self.kind == "einsum":
            project = lambda n: tf.einsum("bsd,dhk->bshk", x, tf.reshape(w[n], (32, 4, 8))) + tf.reshape(w["b" + n], (4, 8))
            scores = tf.einsum("bqhd,bkhd->bhqk", project("q"), project("k")) / 8 ** 0.5 + (1 - mask[:, None, None, :]) * -1e9
            y = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), project("v"))
            return tf.einsum("bqhd,hde->bqe", y, tf.reshape(w["o"], (4, 8, 32))) + w["bo"]
        if self.kind == "packed":
            both = tf.linalg.matmul(x, tf.concat([w["q"], w["k"], w["v"]], 1)) + tf.concat([w["bq"], w["bk"], w["bv"]], 0)
            q, k, v = tf.unstack(tf.transpose(tf.reshape(both, (batch, length, 3, 4, 8)), (2, 0, 3, 1, 4)))
        elif self.kind == "heads":  # one head after the other
            parts = []
            for h in range(4):
                q, k, v = (tf.tensordot(x, w[n][:, 8 * h:8 * h + 8], 1) for n in "qkv")
                parts.append(tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 8 ** -0.5 - 1e4 * (1 - mask[:, None, :])), v))
            return tf.tensordot(tf.concat(parts, -1), w["o"], 1)
        else:  # rows of all sequences in one matrix
            rows = tf.reshape(x, (-1, 32))
            q, k, v = (tf.transpose(tf.reshape(tf.matmul(rows, w[n]) + w["b" + n], (batch, length, 4, 8)), (0, 2, 1, 3)) for n in "qkv")
        scores = tf.multiply(tf.matmul(q, k, transpose_b=True), 1 / 8 ** 0.5)
        if self.kind == "causal":
            allowed = tf.linalg.band_part(tf.ones((length, length)), -1, 0)
            scores = scores * allowed - 1e10 * (1 - allowed)
        elif self.kind == "where":
            scores = tf.where(mask[:, None, None, :] > 0, scores, scores.dtype.min)
        else:
            scores += (1.0 - tf.expand_dims(tf.ones((batch, length, 1)) * tf.cast(mask[:, None, :], tf.float32), 1)) * -10000.0
        y = tf.reshape(tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3)), (batch * length, 32))
        return tf.reshape(tf.matmul(y, w["o"]) + w["bo"], (batch, length, 32))

    def feed(self, x, w):
        up = tf.nn.bias_add(tf.matmul(x, w["up"]), w["bup"])
        if self.kind == "packed":
            up = tf.nn.silu(tf.matmul(x, w["gate"])) * up
        elif self.kind == "einsum":
            up = 0.5 * up * (1.0 + tf.tanh((2 / np.pi) ** 0.5 * (up + 0.044715 * tf.pow(up, 3))))
        elif self.kind == "where":
            up = tf.square(tf.nn.relu(up))
        elif self.kind == "causal":
            up = tf.nn.gelu(up)
        else:
            up = up * 0.5 * (1.0 + tf.math.erf(up / tf.sqrt(2.0)))
        return tf.matmul(up, w["down"]) + w["bdown"]

    def __call__(self, ids):
        mask = mask_of(ids)
        x = tf.gather(self.table, ids)
        for w in self.weights:
            x = self.norm(x + self.attend(x, mask, w), w["g0"], w["h0"])
            x = self.norm(x + self.feed(x, w), w["g1"], w["h1"])
        return x


IDS = [tf.TensorSpec((None, None), tf.int32, name="ids")]
MODELS = {
    "mha": lambda: keras_encoder("mha"),
    "mha-unmasked": lambda: keras_encoder("mha", "relu", masked=False),
    "mha-causal": lambda: keras_encoder("mha", "silu", norm_first=True, causal=True),
    "mha-elu": lambda: keras_encoder("mha", "elu", norm_first=True),
    "mha-selu": lambda: keras_encoder("mha", "selu", norm_first=True),
    "mha-softplus": lambda: keras_encoder("mha", "softplus", norm_first=True),
    "mha-float16": lambda: keras_encoder("mha", dtype="float16"),
    "mha-mixed": lambda: keras_encoder("mha", dtype="mixed_float16", norm_first=True),
    "gqa": lambda: keras_encoder("gqa"),
    "gqa-causal": lambda: keras_encoder("gqa", "relu", norm_first=True, causal=True),
    "rms": lambda: keras_encoder("rms", norm_first=True, causal=True),
    "cross": cross_decoder,
    "hub-encoder": lambda: hub_layers("encoder"),
    "hub-decoder": lambda: hub_layers("decoder"),
    "hub-sine": lambda: hub_layers("sine"),
    **{"raw-" + kind: (lambda kind=kind: (Raw(kind), IDS)) for kind in ("bert", "einsum", "packed", "heads", "causal", "where")},
    **{name.lower(): (lambda name=name, more=more: backbone(name, more)) for name, more in BACKBONES.items()},
}


def backbone(name, more):
    kind = getattr(keras_hub.models, name + "Backbone")
    taken = inspect.signature(kind.__init__).parameters
    model = kind(**{key: value for key, value in {**SIZES, **more}.items() if key in taken})
    if isinstance(model.input, dict):
        specs = [{key: tf.TensorSpec(port.shape, port.dtype, name=key) for key, port in model.input.items()}]
    else:
        specs = [tf.TensorSpec(model.input.shape, model.input.dtype, name="pixels")]
    return model, specs


def randomise(model):
    """Weights that are not what an initialiser leaves: biases differ from 0, scales from 1."""
    random = np.random.default_rng(3)
    for variable in getattr(model, "weights", ()):
        if not isinstance(variable, keras.Variable) or "int" in str(variable.dtype) or "seed" in variable.path:
            continue
        value = np.array(variable, np.float32)
        variable.assign(value + 0.1 * random.standard_normal(value.shape) if value.ndim < 2 else 0.15 * random.standard_normal(value.shape))


def convert_erfc(graph, node, name, args):
    """Keras spells GELU with Erfc, which ONNX does not have and tf2onnx leaves as it is."""
    kind = {onnx.TensorProto.FLOAT16: np.float16, onnx.TensorProto.FLOAT: np.float32}[graph.get_dtype(node.output[0])]
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", node.input)
    one = graph.make_const(name + "_one", np.array(1, kind))
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, name=name, shapes=shapes, dtypes=dtypes)


def name_sizes(proto):
    """tf2onnx gives each input sizes of its own, and whether a mask has the batch of its ids is then unknown: named as a user would."""
    del proto.graph.value_info[:]
    for port in [*proto.graph.input, *proto.graph.output]:
        sequence = next((kind for kind in ("encoder", "decoder", "source") if port.name.startswith(kind)), "sequence")
        for axis, size in enumerate(port.type.tensor_type.shape.dim):
            if size.dim_value:
                continue
            size.Clear()
            if port in proto.graph.input and axis < 2:
                size.dim_param = ("batch", sequence)[axis]


def feeds_of(session, batch, length, random):
    feeds = {}
    for port in session.get_inputs():
        shape = [d if isinstance(d, int) else batch if j == 0 else length for j, d in enumerate(port.shape)]
        name = port.name.lower()
        if "mask" in name:
            value = np.ones(shape)
            if batch > 1:
                value[0, -2:] = 0
        elif "segment" in name:
            value = random.integers(0, 2, shape)
        elif "int" in port.type:
            value = random.integers(3, 99, shape)
            if batch > 1:
                value[0, -2:] = 0
        else:
            value = random.standard_normal(shape)
        kind = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(bool)": bool}[port.type]
        feeds[port.name] = np.asarray(value).astype(kind)
    return feeds


def record(folder):
    """Runs the model in ONNX Runtime on inputs of two shapes and keeps both."""
    random = np.random.default_rng(11)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for j, (batch, length) in enumerate(((2, 9), (1, 6))):
        data = folder / f"test_data_set_{j}"
        data.mkdir(exist_ok=True)
        feeds = feeds_of(session, batch, length, random)
        for kind, arrays in (("input", feeds.values()), ("output", session.run(None, feeds))):
            ports = session.get_inputs() if kind == "input" else session.get_outputs()
            for i, (port, value) in enumerate(zip(ports, arrays)):
                (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(value), port.name).SerializeToString())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--opset", type=int, default=17)
    args = parser.parse_args()
    failed = 0
    for name in args.names or MODELS:
        folder = args.folder / (f"{name}" if args.opset == 17 else f"{name}-opset{args.opset}")
        if (folder / "test_data_set_1").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            keras.utils.set_random_seed(1)
            model, specs = MODELS[name]()
            randomise(model)
            call = model if isinstance(model, tf.Module) and not isinstance(model, keras.Model) else lambda *x: model(x[0] if len(x) == 1 else x, training=False)
            proto, _ = tf2onnx.convert.from_function(tf.function(call, input_signature=specs), input_signature=specs, opset=args.opset,
                                                           custom_op_handlers={"Erfc": (convert_erfc, [])})
            name_sizes(proto)
            onnx.save(proto, folder / "model.onnx")
            record(folder)
            print(f"{folder.name}: {len(proto.graph.node)} nodes", flush=True)
        except Exception as error:
            failed += 1
            if not (folder / "model.onnx").exists():
                shutil.rmtree(folder)
            print(f"FAIL {folder.name}: {type(error).__name__}: {str(error).strip()[:300]}", flush=True)
        keras.backend.clear_session()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
