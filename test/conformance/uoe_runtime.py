"""The runtime's C ABI (include/uoe/runtime.h) from Python: one operator at a time."""
import ctypes as C
import os

import ml_dtypes
import numpy as np
import onnx

NP_TO_ONNX = {
    np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.uint16): 4,
    np.dtype(np.int16): 5, np.dtype(np.int32): 6, np.dtype(np.int64): 7, np.dtype(np.bool_): 9,
    np.dtype(np.float16): 10, np.dtype(np.float64): 11, np.dtype(np.uint32): 12,
    np.dtype(np.uint64): 13, np.dtype(ml_dtypes.bfloat16): 16,
    np.dtype(ml_dtypes.float8_e4m3fn): 17, np.dtype(ml_dtypes.float8_e4m3fnuz): 18,
    np.dtype(ml_dtypes.float8_e5m2): 19, np.dtype(ml_dtypes.float8_e5m2fnuz): 20,
    np.dtype(ml_dtypes.uint4): 21, np.dtype(ml_dtypes.int4): 22,
    np.dtype(ml_dtypes.float4_e2m1fn): 23,
}
ONNX_TO_NP = {number: dtype for dtype, number in NP_TO_ONNX.items()}
FOUR_BITS = (21, 22, 23)
SEQUENCE = -1


class Tensor(C.Structure):
    _fields_ = [("dtype", C.c_int32), ("rank", C.c_int32), ("shape", C.POINTER(C.c_int64)),
                ("data", C.c_void_p), ("bytes", C.c_size_t)]


class Attribute(C.Structure):
    _fields_ = [("name", C.c_char_p), ("kind", C.c_char), ("count", C.c_int64),
                ("ints", C.POINTER(C.c_int64)), ("floats", C.POINTER(C.c_float)),
                ("strings", C.POINTER(C.c_char_p)), ("tensor", Tensor)]


class RuntimeError_(Exception):
    pass


class Runtime:
    def __init__(self, library=None):
        library = library or os.environ.get("UOE_RUNTIME")
        if not library:
            raise SystemExit("give the path of libuoe_runtime.so, or set UOE_RUNTIME to it")
        self.lib = C.CDLL(library)
        self.lib.uoe_last_error.restype = C.c_char_p

    def known(self, domain, op):
        return bool(self.lib.uoe_op_known(domain.encode(), op.encode()))

    def run(self, domain, op, version, attributes, inputs, outputs):
        """Runs one operator. `inputs` are arrays or None, `attributes` a dict of Python values; returns `outputs`
        arrays (None where absent). Raises RuntimeError_ with the runtime's message."""
        keep = []
        tensors = (Tensor * max(1, len(inputs)))()
        for tensor, value in zip(tensors, inputs):
            self._fill(tensor, value, keep)
        attrs = (Attribute * max(1, len(attributes)))()
        for attribute, (name, value) in zip(attrs, attributes.items()):
            self._attribute(attribute, name, value, keep)
        result = C.c_void_p()
        status = self.lib.uoe_op_run(domain.encode(), op.encode(), version, attrs, len(attributes),
                                     tensors, len(inputs), outputs, C.byref(result))
        if status:
            raise RuntimeError_(self.lib.uoe_last_error().decode())
        try:
            values = []
            for i in range(outputs):
                tensor = Tensor()
                if self.lib.uoe_result_get(result, i, C.byref(tensor)):
                    raise RuntimeError_(self.lib.uoe_last_error().decode())
                values.append(self._array(tensor))
            return values
        finally:
            self.lib.uoe_result_free(result)

    def _fill(self, tensor, value, keep):
        if value is None:
            return
        if isinstance(value, (list, tuple)):
            parts = (Tensor * max(1, len(value)))()
            for part, item in zip(parts, value):
                self._fill(part, item, keep)
            keep.append(parts)
            tensor.dtype, tensor.rank = SEQUENCE, len(value)
            tensor.data = C.cast(parts, C.c_void_p)
            return
        array = np.asarray(value)
        shape = (C.c_int64 * max(1, array.ndim))(*array.shape)
        number = NP_TO_ONNX[array.dtype]
        data = np.ascontiguousarray(array)
        if number in FOUR_BITS:
            data = pack_nibbles(data.view(np.uint8))
        keep += [shape, data]
        tensor.dtype, tensor.rank, tensor.shape = number, array.ndim, shape
        tensor.data, tensor.bytes = data.ctypes.data, data.nbytes

    def _attribute(self, attribute, name, value, keep):
        attribute.name = name.encode()
        if isinstance(value, (bool, int, np.integer)):
            kind, value = b"i", [int(value)]
        elif isinstance(value, (float, np.floating)):
            kind, value = b"f", [float(value)]
        elif isinstance(value, (str, bytes)):
            kind, value = b"s", [value]
        elif isinstance(value, (onnx.TensorProto, np.ndarray)):
            array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
            attribute.kind = b"t"
            self._fill(attribute.tensor, array, keep)
            return
        elif value and isinstance(value[0], (float, np.floating)):
            kind = b"F"
        elif value and isinstance(value[0], (str, bytes)):
            kind = b"S"
        else:
            kind = b"I"
        attribute.kind, attribute.count = kind, len(value)
        if kind in b"iI":
            attribute.ints = (C.c_int64 * max(1, len(value)))(*value)
        elif kind in b"fF":
            attribute.floats = (C.c_float * max(1, len(value)))(*value)
        else:
            strings = [v if isinstance(v, bytes) else v.encode() for v in value]
            attribute.strings = (C.c_char_p * max(1, len(value)))(*strings)

    def _array(self, tensor):
        if tensor.dtype == 0:
            return None
        if tensor.dtype == SEQUENCE:
            parts = C.cast(tensor.data, C.POINTER(Tensor))
            return [self._array(parts[i]) for i in range(tensor.rank)]
        shape = tuple(tensor.shape[i] for i in range(tensor.rank))
        raw = np.frombuffer(C.string_at(tensor.data, tensor.bytes) if tensor.bytes else b"", np.uint8)
        dtype = ONNX_TO_NP[tensor.dtype]
        if tensor.dtype in FOUR_BITS:
            raw = unpack_nibbles(raw, int(np.prod(shape)), tensor.dtype)
        return raw.view(dtype).reshape(shape)


def pack_nibbles(values):
    flat = values.reshape(-1) & 15
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8)


def unpack_nibbles(raw, count, number):
    values = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:count]
    if number == 22:  # int4 is kept sign-extended in its byte
        values = ((values ^ 8).astype(np.int16) - 8).astype(np.int8).view(np.uint8)
    return np.ascontiguousarray(values)
