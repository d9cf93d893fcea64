"""Every compressed form, written by coremltools: read back bit for bit as coremltools' own decompression has it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit_runtimes._coreml.constants import constants
from edgekit_runtimes._coreml.decompress import decompress
from edgekit_runtimes._coreml.forms import bits, form
from edgekit_runtimes._coreml.package import open_package
from edgekit_runtimes._coreml.program import read_program
from edgekit_runtimes._coreml.testing import inferred, saved, sub_byte

RNG = np.random.default_rng(0)
SHAPE = (8, 6, 3, 3)
MASK = RNG.random(SHAPE) < 0.4


def indices(bits, shape=SHAPE):
    return RNG.integers(0, 1 << bits, shape)


def packed(values, bits):
    rows = np.unpackbits(np.asarray(values, np.uint8).reshape(-1, 1), axis=1, bitorder="little")[:, :bits]
    return np.packbits(rows.ravel(), bitorder="little")


def normal(*shape, dtype="f2"):
    return RNG.normal(size=shape).astype(dtype)


FORMS = {
    **{f"lut{b}, iOS 16": ("16", "constexpr_lut_to_dense", lambda b=b: {"indices": packed(indices(b), b), "lut": normal(1 << b),
        "shape": np.array(SHAPE, np.uint32)}, f"{b}-bit palette") for b in (1, 2, 4, 6, 8)},
    **{f"lut{b}, iOS 18": ("18", "constexpr_lut_to_dense", lambda b=b: {"indices": sub_byte(indices(b), f"uint{b}"),
        "lut": normal(4, 1, 1, 1, 1 << b, 1)}, f"{b}-bit palettes, 4 along axis 0") for b in (1, 2, 3, 4, 6, 8)},
    "lut of vectors": ("18", "constexpr_lut_to_dense", lambda: {"indices": sub_byte(indices(4), "uint4"), "lut": normal(1, 2, 1, 1, 16, 4),
        "vector_axis": np.int32(0)}, "4-bit palettes of vectors of 4, 2 along axis 1"),
    "int8, one scale": ("16", "constexpr_affine_dequantize", lambda: {"quantized_data": indices(8).astype("i1"), "zero_point": np.int8(3),
        "scale": np.float16(0.013), "axis": np.int32(0)}, "int8, one scale"),
    "uint8 along an axis": ("16", "constexpr_affine_dequantize", lambda: {"quantized_data": indices(8).astype("u1"),
        "zero_point": indices(8, 6).astype("u1"), "scale": np.abs(normal(6)), "axis": np.int32(1)}, "uint8, 6 scales on axis 1"),
    "int4 blocks": ("18", "constexpr_blockwise_shift_scale", lambda: {"data": sub_byte(indices(4) - 8, "int4"),
        "scale": normal(8, 2, 1, 1)}, "int4, 16 scales, blocks of 3 on axis 1"),
    "uint4 blocks with zero points": ("18", "constexpr_blockwise_shift_scale", lambda: {"data": sub_byte(indices(4), "uint4"),
        "scale": normal(8, 1, 1, 1), "offset": sub_byte(indices(4, (8, 1, 1, 1)), "uint4")}, "uint4, 8 scales on axis 0, with zero points"),
    "sparse, iOS 16": ("16", "constexpr_sparse_to_dense", lambda: {"nonzero_data": normal(int(MASK.sum())), "mask": packed(MASK, 1),
        "shape": np.array(SHAPE, np.uint32)}, "sparse, "),
    "sparse, iOS 18": ("18", "constexpr_sparse_to_dense", lambda: {"nonzero_data": normal(int(MASK.sum())),
        "mask": sub_byte(MASK, "uint1")}, "sparse, "),
    "cast": ("16", "constexpr_cast", lambda: {"source_val": normal(4, 5), "output_dtype": "fp32"}, "float16, cast"),
}  # fmt: skip
JOINT = {
    "sparse palette": ("constexpr_lut_to_sparse", lambda: {"indices_mask": sub_byte(MASK, "uint1"),
        "indices_nonzero_data": sub_byte(indices(4, int(MASK.sum())), "uint4"), "lut": normal(2, 1, 1, 1, 16, 1)}, "4-bit palettes, 2"),
    "sparse palette of vectors": ("constexpr_lut_to_sparse", lambda: {"indices_mask": sub_byte(MASK, "uint1"),
        "indices_nonzero_data": sub_byte(indices(2, int(MASK.sum())), "uint2"), "lut": normal(1, 1, 1, 1, 4, 2),
        "vector_axis": np.int32(1)}, "2-bit palette of vectors of 2"),
    "sparse int8": ("constexpr_sparse_blockwise_shift_scale", lambda: {"data_mask": sub_byte(MASK, "uint1"),
        "nonzero_data": indices(8, int(MASK.sum())).astype("i1"), "scale": normal(8, 1, 1, 1)}, "int8, 8 scales on axis 0"),
}  # fmt: skip


def read_back(build, ios):
    package = open_package(saved(build, {"x": (1,)}, ios))
    return constants(read_program(package))


@pytest.mark.parametrize("name", FORMS)
def test_a_constant_comes_back_as_coremltools_has_it(name):
    ios, kind, make, words = FORMS[name]
    given = make()
    (variable,) = inferred(kind, given, ios)
    wanted = variable.op.materialized_val_inference()

    def build(mb, x):
        weight = getattr(mb, kind)(**given, name="weight")
        return mb.cast(x=weight, dtype="fp32")

    found = read_back(build, ios)["weight"]
    assert found.array.dtype == wanted.dtype
    np.testing.assert_array_equal(found.array.view(f"u{wanted.itemsize}"), wanted.view(f"u{wanted.itemsize}"))
    assert form(found).startswith(words)


@pytest.mark.parametrize("name", JOINT)
def test_a_joint_form_comes_back_as_coremltools_has_it(name):
    kind, make, words = JOINT[name]
    given = make()
    mask, values = inferred(kind, given)[0].op.materialized_val_inference()
    (dense,) = decompress("constexpr_sparse_to_dense", {"mask": np.asarray(mask), "nonzero_data": values})

    def build(mb, x):
        kept, data = getattr(mb, kind)(**given)
        return mb.cast(x=mb.constexpr_sparse_to_dense(nonzero_data=data, mask=kept, name="weight"), dtype="fp32")

    found = read_back(build, "18")["weight"]
    np.testing.assert_array_equal(found.array.view("u2"), dense.view("u2"))
    assert form(found).startswith("sparse, ") and words in form(found)
    assert bits(found) < 1 + 8 * MASK.mean() + 4  # the mask, and a byte for each value that is stored


@given(st.data())
@settings(max_examples=60)
def test_blocks_by_their_definition(data):
    scales = data.draw(st.tuples(*[st.integers(1, 3)] * 3))
    blocks = data.draw(st.tuples(*[st.integers(1, 3)] * 3))
    shape = tuple(s * b for s, b in zip(scales, blocks, strict=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    values, scale, offset = rng.integers(-128, 128, shape).astype("i1"), rng.normal(size=scales).astype("f4"), rng.integers(-9, 9, scales)
    (got,) = decompress("constexpr_blockwise_shift_scale", {"data": values, "scale": scale, "offset": offset.astype("i1")})
    for at in np.ndindex(shape):
        group = tuple(i // b for i, b in zip(at, blocks, strict=True))
        assert got[at] == np.float32(float(scale[group]) * (int(values[at]) - int(offset[group])))


WRONG = {
    "no such form": ("constexpr_magic", {}),
    "a part missing": ("constexpr_lut_to_dense", {"indices": np.zeros(3, "u1")}),
    "more indices than table": ("constexpr_lut_to_dense", {"indices": np.full((2,), 3, "u1"), "lut": np.zeros((1, 2, 1), "f2")}),
    "groups that do not divide": ("constexpr_lut_to_dense", {"indices": np.zeros((4,), "u1"), "lut": np.zeros((3, 2, 1), "f2")}),
    "a table of five": ("constexpr_lut_to_dense", {"indices": np.zeros(3, "u1"), "lut": np.zeros(5, "f2"), "shape": np.array([2], "u4")}),
    "scales that do not divide": ("constexpr_blockwise_shift_scale", {"data": np.zeros((4, 4), "i1"), "scale": np.ones((3, 1), "f2")}),
    "a mask of another size": ("constexpr_sparse_to_dense", {"mask": np.ones((2, 2), "u1"), "nonzero_data": np.zeros(3, "f2")}),
    "a zero scale count": ("constexpr_blockwise_shift_scale", {"data": np.zeros((4,), "i1"), "scale": np.ones((0,), "f2")}),
}


@pytest.mark.parametrize("name", WRONG)
def test_contradictions_are_told(name):
    with pytest.raises(ValueError, match=r"constexpr|known|table|scales|mask"):
        decompress(*WRONG[name])
