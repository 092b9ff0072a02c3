"""The contents of a `.tflite` file, read as bytes that nobody vouches for.

A FlatBuffer is a graph of offsets, and an interpreter follows them. Here each is checked before it
is followed, and only the tables and fields of TensorFlow Lite's schema are read that a bundle may
have. The readers in Kotlin and JavaScript do the same, in the same order and with the same words.
"""

import struct
from typing import Any

MAX_PARTS = 2**18  # tables and numbers of lists that are read; large networks have a tenth

# kind: format of `struct`, and bytes
SCALARS = {
    "i8": ("<b", 1), "u8": ("<B", 1), "i32": ("<i", 4), "u32": ("<I", 4), "i64": ("<q", 8),
    "f32": ("<f", 4),
}  # fmt: skip

# A table is a list of its fields in their order: name, kind, and default. A kind is a scalar,
# "text", "bytes", a list of one kind, another table (a tuple), "options" of the operator whose type
# stands in the field before, or None: a file may not have the field.
Table = tuple[tuple[str, Any, Any], ...]
TENSOR_MAP: Table = (("name", "text", None), ("tensor", "u32", 0))
SIGNATURE: Table = (
    ("inputs", [TENSOR_MAP], ()), ("outputs", [TENSOR_MAP], ()), ("key", "text", None),
    ("tag", None, None), ("graph", "u32", 0),
)  # fmt: skip
METADATA: Table = (("name", "text", None), ("buffer", "u32", 0))
BUFFER: Table = (("data", "bytes", None),)
QUANTIZATION: Table = (
    ("min", ["f32"], ()), ("max", ["f32"], ()), ("scale", ["f32"], ()), ("zero", ["i64"], ()),
    ("details_type", None, None), ("details", None, None), ("axis", "i32", 0),
)  # fmt: skip
TENSOR: Table = (
    ("shape", ["i32"], ()), ("type", "i8", 0), ("buffer", "u32", 0), ("name", "text", None),
    ("quantization", QUANTIZATION, None), ("variable", None, None), ("sparsity", None, None),
    ("signature", ["i32"], ()), ("has_rank", "u8", 0),
)  # fmt: skip
OPERATOR: Table = (
    ("code", "u32", 0), ("inputs", ["i32"], ()), ("outputs", ["i32"], ()),
    ("options_type", "u8", 0), ("options", "options", None), ("custom", None, None),
    ("custom_format", None, None), ("mutating", ["u8"], ()), ("intermediates", ["i32"], ()),
    ("large_offset", None, None), ("large_size", None, None), ("options2_type", None, None),
    ("options2", None, None), ("debug", "i32", 0),
)  # fmt: skip
GRAPH: Table = (
    ("tensors", [TENSOR], ()), ("inputs", ["i32"], ()), ("outputs", ["i32"], ()),
    ("operators", [OPERATOR], ()), ("name", "text", None), ("debug", "i32", 0),
)  # fmt: skip
CODE: Table = (
    ("old", "i8", 0), ("custom", None, None), ("version", "i32", 1), ("builtin", "i32", 0),
)  # fmt: skip
MODEL: Table = (
    ("version", "u32", 0), ("codes", [CODE], ()), ("graphs", [GRAPH], ()),
    ("description", "text", None), ("buffers", [BUFFER], ()), ("metadata_buffer", ["i32"], ()),
    ("metadata", [METADATA], ()), ("signatures", [SIGNATURE], ()),
)  # fmt: skip

FUSED = ("fused", "i8", 0)
STRIDES = (("padding", "i8", 0), ("stride_w", "i32", 0), ("stride_h", "i32", 0))
DILATION = (("dilation_w", "i32", 1), ("dilation_h", "i32", 1))
BIAS_TYPE = ("bias_type", "i8", 0)
EMPTY: Table = ()
OPTIONS: dict[int, Table] = {
    1: (*STRIDES, FUSED, *DILATION, BIAS_TYPE),  # Conv2D
    2: (*STRIDES, ("multiplier", "i32", 0), FUSED, *DILATION),  # DepthwiseConv2D
    5: (*STRIDES, ("filter_w", "i32", 0), ("filter_h", "i32", 0), FUSED),  # Pool2D
    8: (
        FUSED, ("format", "i8", 0), ("keep", "u8", 0), ("asymmetric", "u8", 0), BIAS_TYPE,
    ),  # FullyConnected
    9: (("beta", "f32", 0.0),),  # Softmax
    10: (("axis", "i32", 0), FUSED),  # Concatenation
    11: (FUSED, ("pot", "u8", 1)),  # Add
    15: (("height", None, None), ("width", None, None), ("align", "u8", 0), ("half", "u8", 0)),
    17: (("shape", ["i32"], ()),),  # Reshape
    21: (FUSED,),  # Mul
    22: EMPTY,  # Pad
    26: EMPTY,  # Transpose
    27: (("keep", "u8", 0),),  # Reducer
    28: (FUSED, ("pot", "u8", 1)),  # Sub
    29: (FUSED,),  # Div
    30: (("dims", ["i32"], ()),),  # Squeeze
    32: (
        ("begin", "i32", 0), ("end", "i32", 0), ("ellipsis", "i32", 0), ("new", "i32", 0),
        ("shrink", "i32", 0), ("offset", "u8", 0),
    ),  # StridedSlice
    38: EMPTY,  # Dequantize
    39: EMPTY,  # MaximumMinimum
    43: EMPTY,  # PadV2
    48: EMPTY,  # Slice
    49: (*STRIDES, FUSED, BIAS_TYPE),  # TransposeConv
    74: (("align", "u8", 0), ("half", "u8", 0)),  # ResizeNearestNeighbor
    75: (("alpha", "f32", 0.0),),  # LeakyRelu
    76: EMPTY,  # SquaredDifference
    89: EMPTY,  # Quantize
    91: EMPTY,  # HardSwish
}  # fmt: skip


class UnsoundError(Exception):
    """A file is not sound: what in it, what was expected, what was found."""

    def __init__(self, what: str, expected: object, found: object):
        self.what, self.expected, self.found = what, str(expected), str(found)
        super().__init__(f"{what}: expected {expected}, found {found}")


def read(data: bytes) -> dict[str, Any]:
    """Returns the table `MODEL` of a file: values by name, of bytes where they begin and how many.

    Raises:
      UnsoundError: for the first offset, length or field that is wrong.
    """
    reader = _Reader(data)
    return reader.table(reader.follow(0, "the file"), MODEL, "the file")


class _Reader:
    def __init__(self, data: bytes):
        self._data, self._left = data, MAX_PARTS

    def scalar(self, at: int, kind: str, what: str) -> Any:
        form, size = SCALARS[kind]
        self._inside(at, size, size, what)
        return struct.unpack_from(form, self._data, at)[0]

    def follow(self, at: int, what: str) -> int:
        """Returns where an offset leads, always forward."""
        offset = self.scalar(at, "u32", what)
        if offset == 0:
            raise UnsoundError(what, "an offset", 0)
        return at + offset

    def table(self, at: int, fields: Table, what: str) -> dict[str, Any]:
        self._spend(1, what)
        vtable = at - self.scalar(at, "i32", what)
        self._inside(vtable, 4, 2, what)
        bytes_of_fields, length = struct.unpack_from("<HH", self._data, vtable)
        if bytes_of_fields < 4 or bytes_of_fields % 2:
            raise UnsoundError(what, "an even number of bytes for its fields", bytes_of_fields)
        self._inside(vtable, bytes_of_fields, 2, what)
        self._inside(at, length, 4, what)
        slots = struct.unpack_from(f"<{bytes_of_fields // 2 - 2}H", self._data, vtable + 4)
        values = {name: default for name, _, default in fields}
        for slot, offset in enumerate(slots):
            if not offset:
                continue
            name, kind, _ = fields[slot] if slot < len(fields) else (f"field {slot}", None, None)
            inner = f"{what}, {name}"
            if kind is None:
                raise UnsoundError(inner, "none", "one")
            if kind == "options":
                kind = OPTIONS.get(values["options_type"])
                if kind is None:
                    raise UnsoundError(inner, "a known type", values["options_type"])
            size = SCALARS[kind][1] if isinstance(kind, str) and kind in SCALARS else 4
            if offset + size > length:
                raise UnsoundError(inner, f"a place in {length} bytes", offset)
            values[name] = self._value(at + offset, kind, inner)
        return values

    def _value(self, at: int, kind: Any, what: str) -> Any:
        if isinstance(kind, str) and kind in SCALARS:
            return self.scalar(at, kind, what)
        start = self.follow(at, what)
        if isinstance(kind, tuple):
            return self.table(start, kind, what)
        count = self.scalar(start, "u32", what)
        first = start + 4
        if kind in ("text", "bytes"):
            self._inside(first, count, 1, what)
            if kind == "text" and not self._data[first : first + count].isascii():
                raise UnsoundError(what, "a text in ASCII", "another")
            return first, count
        (item,) = kind
        self._spend(count, what)
        if isinstance(item, tuple):
            self._inside(first, 4 * count, 4, what)
            return [
                self.table(self.follow(first + 4 * i, what), item, f"{what} {i}")
                for i in range(count)
            ]
        form, size = SCALARS[item]
        self._inside(first, size * count, size, what)
        return struct.unpack_from(f"<{count}{form[1]}", self._data, first)

    def _inside(self, at: int, size: int, alignment: int, what: str) -> None:
        if at < 0 or at + size > len(self._data):
            raise UnsoundError(what, f"a place in {len(self._data)} bytes", at)
        if at % alignment:
            raise UnsoundError(what, f"a multiple of {alignment}", at)

    def _spend(self, parts: int, what: str) -> None:
        self._left -= parts
        if self._left < 0:
            raise UnsoundError(what, f"at most {MAX_PARTS} parts", "more")
