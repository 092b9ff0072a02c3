"""Files are rewritten without a change in what they compute."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.export import flatbuffer, runtime


def constants(model):
    """The offsets in the file of the bytes of each constant, and their number."""
    root = schema.Model.GetRootAs(model, 0)
    found = []
    for i in range(root.BuffersLength()):
        table = root.Buffers(i)._tab
        if field := table.Offset(4):
            found.append((table.Vector(field), table.VectorLen(field)))
    return found


def test_constants_are_aligned_and_nothing_else_is_kept(float32, int8):
    for bundle in (float32, int8):
        found = constants(bundle.model)
        assert found and all(start % flatbuffer.ALIGNMENT == 0 and n for start, n in found)
        parsed = flatbuffer.parse(bundle.model)
        names = [tensor.name for tensor in parsed.subgraphs[0].tensors]
        assert sorted(filter(None, names)) == [b"image", b"probabilities"]
        assert not parsed.metadata and not parsed.description
        (signature,) = parsed.signatureDefs
        assert signature.inputs[0].name == b"image"


def test_stripping_twice_is_stripping_once(float32):
    assert flatbuffer.strip(float32.model, "probabilities") == float32.model


def test_what_is_the_same_is_written_once(int8):
    graph = schema.Model.GetRootAs(int8.model, 0).Subgraphs(0)
    places = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        table, shape = tensor._tab, tensor.ShapeAsNumpy()
        places.setdefault(tuple(shape), set()).add(table.Vector(table.Offset(4)))
    assert graph.TensorsLength() > len(places)
    assert all(len(at) == 1 for at in places.values())
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    pools = [
        op for op in operators if op.BuiltinOptionsType() == schema.BuiltinOptions.Pool2DOptions
    ]
    assert len(pools) == 2 and len({op.BuiltinOptions().Pos for op in pools}) == 1


def test_a_file_is_written_again_from_its_contents(int8):
    parsed = flatbuffer.parse(int8.model)
    assert flatbuffer.pack(parsed) == flatbuffer.pack(parsed) == int8.model
    kernels = [buffer for buffer in parsed.buffers if buffer.data is not None]
    before = [np.array(buffer.data) for buffer in kernels]
    kernels[0].data = kernels[0].data[::-1]
    after = [
        b.data for b in flatbuffer.parse(flatbuffer.pack(parsed)).buffers if b.data is not None
    ]
    np.testing.assert_array_equal(after[0], before[0][::-1])
    for old, new in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(old, new)


def test_prefixes_are_files_of_their_own(float32):
    pieces = flatbuffer.prefixes(float32.model)
    names = [name for name, _ in pieces]
    assert names == [
        "RESHAPE", "CONV_2D", "RESHAPE", "MAX_POOL_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE",
        "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert [runtime.forms(model)[1]["shape"] for _, model in pieces][1:4] == [
        [1, 28, 14, 6], [1, 28, 28, 3], [1, 14, 14, 3],
    ]  # fmt: skip
    assert pieces[-1][1] == float32.model
    runtime.runner(pieces[3][1], float32.golden_input)()


def test_half_a_file_has_constants_to_unpack(exported):
    model = (exported.directory / "float16" / "model.tflite").read_bytes()
    assert flatbuffer.operators(model)["DEQUANTIZE"] == 6
    assert flatbuffer.prefixes(model)[0][0] == "RESHAPE"
    assert flatbuffer.tensor_types(model)["FLOAT16"] == 6


def test_custom_operators_are_named():
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"FlexErf"
    model = schema.ModelT()
    model.operatorCodes, model.buffers, model.subgraphs = [code], [], [schema.SubGraphT()]
    operator = schema.OperatorT()
    operator.inputs = operator.outputs = np.zeros(0, np.int32)
    model.subgraphs[0].operators, model.subgraphs[0].tensors = [operator], []
    assert flatbuffer.operators(flatbuffer.pack(model)) == {"CUSTOM:FlexErf": 1}
