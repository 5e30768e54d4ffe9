"""ctypes access to single operators of libuoe_runtime.so (see include/uoe/runtime.h)."""

import ctypes

import ml_dtypes
import numpy as np

SEQUENCE = -1

# ONNX's TensorProto.DataType by NumPy type.
NUMBERS = {
    np.dtype(np.float32): 1,
    np.dtype(np.uint8): 2,
    np.dtype(np.int8): 3,
    np.dtype(np.uint16): 4,
    np.dtype(np.int16): 5,
    np.dtype(np.int32): 6,
    np.dtype(np.int64): 7,
    np.dtype(np.bool_): 9,
    np.dtype(np.float16): 10,
    np.dtype(np.float64): 11,
    np.dtype(np.uint32): 12,
    np.dtype(np.uint64): 13,
    np.dtype(ml_dtypes.bfloat16): 16,
    np.dtype(ml_dtypes.float8_e4m3fn): 17,
    np.dtype(ml_dtypes.float8_e4m3fnuz): 18,
    np.dtype(ml_dtypes.float8_e5m2): 19,
    np.dtype(ml_dtypes.float8_e5m2fnuz): 20,
    np.dtype(ml_dtypes.uint4): 21,
    np.dtype(ml_dtypes.int4): 22,
    np.dtype(ml_dtypes.float4_e2m1fn): 23,
    np.dtype(ml_dtypes.float8_e8m0fnu): 24,
}
TYPES = {number: dtype for dtype, number in NUMBERS.items()}
PACKED = {21, 22, 23}


class Tensor(ctypes.Structure):
    _fields_ = [
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
    ]


class Attribute(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_char),
        ("count", ctypes.c_int64),
        ("ints", ctypes.POINTER(ctypes.c_int64)),
        ("floats", ctypes.POINTER(ctypes.c_float)),
        ("strings", ctypes.POINTER(ctypes.c_char_p)),
        ("tensor", Tensor),
    ]


class Unsupported(Exception):
    """The case cannot be expressed through the C ABI; the message is the reason."""


class Runtime:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.uoe_last_error.restype = ctypes.c_char_p

    def known(self, domain, op):
        return bool(self.library.uoe_op_known(domain.encode(), op.encode()))

    def run(self, op, inputs, attributes=None, version=24, outputs=1, domain=""):
        """Runs one operator; inputs are arrays, lists of arrays (sequences) or None.

        Raises RuntimeError with the runtime's message."""
        keep = []
        tensors = (Tensor * max(len(inputs), 1))(*[self._tensor(x, keep) for x in inputs])
        items = [self._attribute(k, v, keep) for k, v in (attributes or {}).items()]
        array = (Attribute * max(len(items), 1))(*items)
        result = ctypes.c_void_p()
        status = self.library.uoe_op_run(
            domain.encode(), op.encode(), version, array, len(items), tensors, len(inputs), outputs,
            ctypes.byref(result))
        if status:
            raise RuntimeError(self.library.uoe_last_error().decode())
        try:
            values = []
            for i in range(outputs):
                tensor = Tensor()
                self.library.uoe_result_get(result, i, ctypes.byref(tensor))
                values.append(self._array(tensor))
            return values
        finally:
            self.library.uoe_result_free(result)

    def _tensor(self, value, keep):
        if value is None:
            return Tensor()
        if isinstance(value, list):
            parts = (Tensor * max(len(value), 1))(*[self._tensor(x, keep) for x in value])
            keep.append(parts)
            return Tensor(SEQUENCE, len(value), None, ctypes.cast(parts, ctypes.c_void_p),
                          ctypes.sizeof(parts))
        value = np.asarray(value)
        if value.dtype.kind in "OSU":
            raise Unsupported("string")
        if value.dtype.kind == "c":
            raise Unsupported("complex")
        if value.dtype not in NUMBERS:
            raise Unsupported(f"type {value.dtype}")
        number = NUMBERS[value.dtype]
        shape = (ctypes.c_int64 * max(value.ndim, 1))(*value.shape)
        data = np.ascontiguousarray(value)
        if number in PACKED:
            nibbles = data.reshape(-1).view(np.uint8) & 15
            if nibbles.size % 2:
                nibbles = np.append(nibbles, np.uint8(0))
            data = nibbles[0::2] | (nibbles[1::2] << 4)
        keep += [shape, data]
        return Tensor(number, value.ndim, shape, data.ctypes.data, data.nbytes)

    def _attribute(self, name, value, keep):
        item = Attribute(name=name.encode(), count=1)
        if isinstance(value, np.ndarray):
            item.kind, item.tensor = b"t", self._tensor(value, keep)
            return item
        listed = isinstance(value, (list, tuple))
        values = list(value) if listed else [value]
        item.count = len(values)
        if values and isinstance(values[0], (str, bytes)):
            encoded = [v.encode() if isinstance(v, str) else v for v in values]
            array = (ctypes.c_char_p * len(encoded))(*encoded)
            item.kind, item.strings = (b"S" if listed else b"s"), array
        elif values and isinstance(values[0], float):
            array = (ctypes.c_float * len(values))(*values)
            item.kind, item.floats = (b"F" if listed else b"f"), array
        else:
            array = (ctypes.c_int64 * max(len(values), 1))(*[int(v) for v in values])
            item.kind, item.ints = (b"I" if listed else b"i"), array
        keep.append(array)
        return item

    def _array(self, tensor):
        if tensor.dtype == 0:
            return None
        if tensor.dtype == SEQUENCE:
            parts = ctypes.cast(tensor.data, ctypes.POINTER(Tensor))
            return [self._array(parts[i]) for i in range(tensor.rank)]
        shape = tuple(tensor.shape[i] for i in range(tensor.rank))
        dtype = TYPES[tensor.dtype]
        if tensor.bytes > 1 << 30:
            raise Unsupported("a result beyond 1 GiB")
        raw = np.frombuffer(ctypes.string_at(tensor.data, tensor.bytes), np.uint8)
        if tensor.dtype in PACKED:
            nibbles = np.stack([raw & 15, raw >> 4], -1).reshape(-1)[: int(np.prod(shape))]
            if tensor.dtype == 22:
                return ((nibbles.astype(np.int8) ^ 8) - 8).astype(dtype).reshape(shape)
            if tensor.dtype == 21:
                return nibbles.astype(dtype).reshape(shape)
            return nibbles.view(dtype).reshape(shape)
        return raw.view(dtype).reshape(shape).copy()
