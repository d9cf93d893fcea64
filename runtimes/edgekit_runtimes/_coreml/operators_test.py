"""Every operator against coremltools: the shape it infers, and the value where it infers one. Against torch: see `ops`."""

import copy

import numpy as np
import pytest
import torch

from edgekit_runtimes._coreml.evaluate import _literal as literal
from edgekit_runtimes._coreml.registry import FAMILIES, MISSING, operators
from edgekit_runtimes._coreml.testing import inferred

RNG = np.random.default_rng(0)


def n(*shape, low=-2.0, high=2.0):
    return RNG.uniform(low, high, shape).astype("f4")


def i(*values):
    return np.array(values, np.int32)


X, Y, IMAGE = n(2, 3, 4), n(2, 3, 4), n(1, 4, 6, 8)
SEQUENCE = {"x": n(5, 2, 3), "initial_h": n(2, 4), "direction": "forward", "output_sequence": True}
LSTM = SEQUENCE | {"initial_c": n(2, 4), "weight_ih": n(16, 3), "weight_hh": n(16, 4), "bias": n(16)}
POSITIVE = n(2, 3, low=0.1)

CASES = {
    **{kind: {"x": X} for kind in ["abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round", "sign", "sin",
            "sinh", "square", "tan", "tanh", "identity"]},
    **{kind: {"x": n(2, 3, low=-0.9, high=0.9)} for kind in ("acos", "asin", "atanh")},
    "sqrt": {"x": POSITIVE}, "rsqrt": {"x": POSITIVE, "epsilon": np.float32(1e-3)}, "log": {"x": POSITIVE, "epsilon": np.float32(1e-3)},
    "inverse": {"x": POSITIVE, "epsilon": np.float32(1e-3)}, "logical_not": {"x": X > 0},
    **{kind: {"x": X, "y": Y} for kind in ["add", "sub", "mul", "real_div", "maximum", "minimum"]},
    **{kind: {"x": np.round(X), "y": np.round(n(3, 4))} for kind in ["equal", "not_equal", "greater", "greater_equal", "less",
            "less_equal"]},
    **{kind: {"x": X > 0, "y": Y > 0} for kind in ("logical_and", "logical_or", "logical_xor")},
    "pow": {"x": POSITIVE, "y": n(2, 3)}, "mod": {"x": i(7, -7, 7), "y": i(3, 3, -3)}, "floor_div": {"x": i(7, -7, 7), "y": i(3, 3, -3)},
    "floor_div, real": {"x": X, "y": POSITIVE[:, :, None]},
    "clip": {"x": X, "alpha": np.float32(-0.5), "beta": np.float32(1)}, "threshold": {"x": X, "alpha": np.float32(0.3)},
    "cast": {"x": X, "dtype": "int32"}, "cast, to bool": {"x": np.round(X), "dtype": "bool"},
    "select": {"cond": X > 0, "a": X, "b": Y},
    "relu": {"x": X}, "relu6": {"x": 9 * X}, "sigmoid": {"x": X}, "silu": {"x": X}, "softplus": {"x": 30 * X}, "softsign": {"x": X},
    "leaky_relu": {"x": X, "alpha": np.float32(0.1)}, "elu": {"x": X, "alpha": np.float32(0.7)},
    "thresholded_relu": {"x": X, "alpha": np.float32(0.5)}, "prelu": {"x": IMAGE, "alpha": n(4)},
    "clamped_relu": {"x": X, "alpha": np.float32(0.2), "beta": np.float32(1)},
    "linear_activation": {"x": X, "alpha": np.float32(2), "beta": np.float32(1)},
    "sigmoid_hard": {"x": X, "alpha": np.float32(0.3), "beta": np.float32(0.4)},
    "scaled_tanh": {"x": X, "alpha": np.float32(2), "beta": np.float32(0.5)},
    "softplus_parametric": {"x": IMAGE, "alpha": n(4, low=1), "beta": n(4, low=1)},
    "softmax": {"x": X, "axis": np.int32(1)},
    **{f"gelu, {m}": {"x": X, "mode": m} for m in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")},
    **{f"{kind}, {keep}": {"x": POSITIVE, "axes": i(1), "keep_dims": keep} for keep in (True, False) for kind in (
        "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum",
        "reduce_log_sum_exp", "reduce_sum_square")},
    "reduce_prod": {"x": X}, "reduce_max": {"x": X},
    "reduce_argmax": {"x": X, "axis": np.int32(1), "keep_dims": True}, "reduce_argmin": {"x": X, "axis": np.int32(-1)},
    "cumsum": {"x": X, "axis": np.int32(1)},
    "argsort": {"x": X, "axis": np.int32(1), "ascending": True},
    "topk": {"x": X, "k": np.int32(2), "axis": np.int32(-1)}, "topk, smallest": {"x": X, "k": np.int32(3), "axis": np.int32(2),
        "ascending": True},
    "linear": {"x": n(2, 5), "weight": n(3, 5), "bias": n(3)}, "matmul": {"x": n(2, 3, 4), "y": n(4, 5)},
    "matmul, transposed": {"x": n(4, 3), "y": n(5, 4), "transpose_x": True, "transpose_y": True},
    "einsum": {"values": (n(2, 3, 4, 5), n(2, 5, 4, 3)), "equation": "nchw,nwhu->nchu"},
    "scaled_dot_product_attention": {"query": n(2, 4, 5), "key": n(2, 6, 5), "value": n(2, 6, 7), "attn_mask": n(4, 6)},
    "scaled_dot_product_attention, masked": {"query": n(1, 4, 5), "key": n(1, 6, 5), "value": n(1, 6, 7), "attn_mask": n(4, 6) > -1},
    "layer_norm": {"x": X, "axes": i(1, 2), "gamma": n(3, 4), "beta": n(3, 4), "epsilon": np.float32(1e-3)},
    "l2_norm": {"x": IMAGE}, "instance_norm": {"x": IMAGE, "gamma": n(4), "beta": n(4)},
    "batch_norm": {"x": IMAGE, "mean": n(4), "variance": n(4, low=0.5), "gamma": n(4), "beta": n(4)},
    "conv": {"x": IMAGE, "weight": n(6, 2, 3, 3), "bias": n(6), "pad_type": "custom", "pad": i(1, 0, 2, 1), "strides": i(2, 1),
        "groups": np.int32(2)},
    "conv, same": {"x": IMAGE, "weight": n(6, 4, 3, 2), "pad_type": "same", "strides": i(2, 3)},
    "conv, same_lower": {"x": IMAGE, "weight": n(6, 4, 4, 2), "pad_type": "same_lower", "dilations": i(1, 2)},
    "conv, 1-D": {"x": n(1, 2, 9), "weight": n(3, 2, 3), "pad_type": "valid"},
    "conv, 3-D": {"x": n(1, 2, 4, 5, 6), "weight": n(3, 2, 2, 2, 2), "pad_type": "valid"},
    "conv_transpose": {"x": IMAGE, "weight": n(4, 3, 3, 2), "strides": i(2, 3), "pad_type": "custom", "pad": i(1, 0, 0, 1)},
    "conv_transpose, shaped": {"x": IMAGE, "weight": n(4, 3, 3, 3), "strides": i(2, 2), "pad_type": "custom", "pad": i(1, 1, 1, 1),
                               "output_shape": i(1, 3, 12, 16)},
    "conv_transpose, same": {"x": IMAGE, "weight": n(4, 3, 3, 3), "strides": i(2, 2), "pad_type": "same"},
    "avg_pool": {"x": IMAGE, "kernel_sizes": i(3, 2), "strides": i(2, 2), "pad_type": "custom", "pad": i(1, 1, 0, 0)},
    "avg_pool, up": {"x": IMAGE, "kernel_sizes": i(3, 3), "strides": i(2, 2), "pad_type": "custom", "pad": i(1, 1, 1, 1),
        "ceil_mode": True},
    "max_pool": {"x": IMAGE, "kernel_sizes": i(3, 3), "strides": i(2, 2), "pad_type": "same"},
    "max_pool, up": {"x": IMAGE, "kernel_sizes": i(3, 3), "strides": i(2, 3), "pad_type": "valid", "ceil_mode": True},
    "l2_pool": {"x": IMAGE, "kernel_sizes": i(2, 2), "pad_type": "valid"},
    "reshape": {"x": X, "shape": i(3, -1)}, "reshape, kept": {"x": X, "shape": i(1, 0, -1, 0)}, "transpose": {"x": X, "perm": i(2, 0, 1)},
    "reshape_like": {"x": X, "ref_tensors": (n(3, 2), n(5, 4)), "begins": (np.int32(0), np.int32(1)), "ends": (np.int32(2), np.int32(2)),
                     "end_masks": (False, False)},
    "flatten2d": {"x": X, "axis": np.int32(2)}, "expand_dims": {"x": X, "axes": i(0, -1)}, "squeeze": {"x": n(1, 3, 1), "axes": i(2)},
    "concat": {"values": (X, Y), "axis": np.int32(1)},
    "stack": {"values": (X, Y), "axis": np.int32(2)}, "split": {"x": X, "axis": np.int32(2), "split_sizes": i(1, 3)},
    "split, evenly": {"x": X, "axis": np.int32(2), "num_splits": np.int32(2)}, "tile": {"x": X, "reps": i(1, 2, 3)},
    "reverse": {"x": X, "axes": i(0, 2)}, "reverse_sequence": {"x": n(2, 5), "lengths": i(3, 1), "seq_axis": np.int32(1),
        "batch_axis": np.int32(0)},
    "slice_by_index": {"x": X, "begin": i(0, 1, 3), "end": i(2, 3, 0), "stride": i(1, 1, -2), "end_mask": np.array([False, True, False])},
    "slice_by_index, one": {"x": X, "begin": i(1, 0, -2), "end": i(0, 2, 4), "squeeze_mask": np.array([True, False, False])},
    "slice_by_size": {"x": X, "begin": i(0, 1, 2), "size": i(2, -1, 2)},
    "slice_update": {"x": X, "update": n(2, 2, 2), "begin": i(0, 1, 0), "end": i(2, 3, 4), "stride": i(1, 1, 2)},
    "pad": {"x": X, "pad": i(1, 2, 0, 1), "mode": "constant", "constant_val": np.float32(3)},
    "pad, reflected": {"x": X, "pad": i(2, 1), "mode": "reflect"}, "pad, replicated": {"x": X, "pad": i(1, 0, 2, 3), "mode": "replicate"},
    "fill": {"shape": i(2, 3), "value": np.float32(1.5)}, "fill_like": {"ref_tensor": X, "value": np.float32(2)},
    "range_1d": {"start": np.int32(1), "end": np.int32(9), "step": np.int32(3)}, "shape": {"x": X},
    "band_part": {"x": n(5, 6), "lower": np.int32(1), "upper": np.int32(2)},
    "sliding_windows": {"x": n(7, 2), "axis": np.int32(0), "size": np.int32(3), "stride": np.int32(2)},
    "one_hot": {"indices": i(2, 0, 1), "one_hot_vector_size": np.int32(4), "axis": np.int32(0), "on_value": np.float32(2),
        "off_value": np.float32(-1)},
    "gather": {"x": X, "indices": np.array([[1, 0], [2, 2]], np.int32), "axis": np.int32(1)},
    "gather, from the end": {"x": X, "indices": i(-1, 0), "axis": np.int32(2)},
    "gather, in batches": {"x": n(2, 5, 3), "indices": np.array([[1, 0], [4, 2]], np.int32), "axis": np.int32(1),
        "batch_dims": np.int32(1)},
    "gather_along_axis": {"x": X, "indices": RNG.integers(0, 3, X.shape).astype("i4"), "axis": np.int32(1)},
    "gather_nd": {"x": X, "indices": np.array([[0, 1], [1, 2]], np.int32)},
    "scatter": {"data": n(3, 4), "indices": i(2, 0), "updates": n(2, 4), "axis": np.int32(0), "mode": "add"},
    "scatter_along_axis": {"data": n(3, 4), "indices": RNG.permutation(3)[:, None].repeat(4, 1).astype("i4"), "updates": n(3, 4),
                           "axis": np.int32(0), "mode": "update"},
    "scatter_nd": {"data": n(3, 4), "indices": np.array([[0, 1], [2, 2]], np.int32), "updates": n(2), "mode": "max"},
    "non_zero": {"x": np.array([[0, 1], [2, 0]], "f4")},
    "pixel_shuffle": {"x": IMAGE, "upscale_factor": np.int32(2)}, "pixel_unshuffle": {"x": IMAGE, "downscale_factor": np.uint32(2)},
    "depth_to_space": {"x": IMAGE, "block_size": np.int32(2)}, "space_to_depth": {"x": IMAGE, "block_size": np.int32(2)},
    "space_to_batch": {"x": IMAGE, "block_shape": i(2, 3), "paddings": np.array([[0, 2], [1, 0]], np.int32)},
    "batch_to_space": {"x": n(6, 2, 4, 3), "block_shape": i(2, 3), "crops": np.array([[0, 2], [1, 0]], np.int32)},
    "crop": {"x": IMAGE, "crop_height": i(1, 2), "crop_width": i(0, 3)},
    "upsample_nearest_neighbor": {"x": IMAGE, "scale_factor_height": np.float32(2), "scale_factor_width": np.float32(1.5)},
    "upsample_bilinear": {"x": IMAGE, "scale_factor_height": np.int32(2), "scale_factor_width": np.int32(3), "align_corners": False},
    "resize_nearest_neighbor": {"x": IMAGE, "target_size_height": np.int32(9), "target_size_width": np.int32(5)},
    "resize_bilinear": {"x": IMAGE, "target_size_height": np.int32(9), "target_size_width": np.int32(5)},
    "resize": {"x": IMAGE, "shape": i(12, 0), "resized_dims": np.uint32(2), "interpolation_mode": "LINEAR",
        "sampling_mode": "UNALIGN_CORNERS"},
    "crop_resize": {"x": IMAGE, "boxes": n(2, 4, low=0, high=5), "box_indices": i(0, 0), "target_height": np.int32(3),
        "target_width": np.int32(2)},
    "resample": {"x": IMAGE, "coordinates": n(1, 3, 5, 2), "sampling_mode": "bilinear", "padding_mode": "constant",
        "padding_value": np.float32(0),
                 "coordinates_mode": "normalized_minus_one_to_one", "align_corners": True},
    "affine": {"x": IMAGE, "transform_matrix": n(1, 6), "output_height": np.int32(3), "output_width": np.int32(5),
        "sampling_mode": "bilinear",
               "padding_mode": "constant", "padding_value": np.float32(0), "coordinates_mode": "normalized_minus_one_to_one",
        "align_corners": True},
    "quantize": {"input": 9 * X, "scale": np.float32(0.1), "zero_point": np.int8(3), "output_dtype": "int8"},
    "quantize, along an axis": {"input": X, "scale": n(3, low=0.01, high=0.1), "zero_point": np.array([3, 128, 255], "u1"),
                                "output_dtype": "uint8", "axis": np.int32(1)},
    "dequantize": {"input": RNG.integers(-128, 128, (3, 4)).astype("i1"), "scale": n(4, low=0.1), "axis": np.int32(1)},
    "rnn": SEQUENCE | {"weight_ih": n(4, 3), "weight_hh": n(4, 4), "bias": n(4)},
    "gru": SEQUENCE | {"weight_ih": n(12, 3), "weight_hh": n(12, 4), "bias": n(12)},
    "lstm": LSTM, "lstm, last": LSTM | {"output_sequence": False},
    "lstm, both ways": LSTM | {"initial_h": n(2, 8), "initial_c": n(2, 8), "weight_ih_back": n(16, 3), "weight_hh_back": n(16, 4),
                               "direction": "bidirectional"},
}  # fmt: skip
WITHOUT = {"classify"}
"""Their results are no tensors for coremltools: see `session_test`."""


def given(value):
    if isinstance(value, tuple):
        return [given(v) for v in value]
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    return literal({"f4": "fp32", "b1": "bool", "i4": "int32", "u4": "uint32", "i1": "int8", "u1": "uint8"}[array.dtype.str[1:]], array)


@pytest.mark.parametrize("case", CASES)
def test_shapes_and_values_are_coremltools_own(case):
    kind = case.partition(",")[0]
    operator, inputs = operators()[kind], CASES[case]
    results = operator.compute(**{name: given(value) for name, value in inputs.items()})
    results = results if isinstance(results, tuple) else (results,)
    variables = inferred(kind, copy.deepcopy(inputs))  # coremltools' inference of thresholded_relu changes its input
    assert len(results) == len(variables)
    for got, variable in zip(results, variables, strict=True):
        if kind != "non_zero":
            assert tuple(got.shape) == tuple(variable.shape)
        if (
            wanted := variable.val
            if variable.val is not None
            else variable.op.materialized_val_inference()
            if kind == "dequantize"
            else None
        ) is not None:
            np.testing.assert_allclose(got.numpy().astype("f8"), np.asarray(wanted, "f8"), rtol=1e-5, atol=1e-6)


def test_every_operator_has_a_case():
    assert {case.partition(",")[0] for case in CASES} == set(operators()) - WITHOUT
    assert {operator.family for operator in operators().values()} == set(FAMILIES)


@pytest.mark.parametrize("name", sorted(operators()))
def test_every_parameter_is_one_of_coremltools(name):
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    versions = SSAOpRegistry.core_ops[name].values()
    known = {parameter for version in versions for parameter in version.input_spec.input_types}
    assert operators()[name].parameters == known


def test_what_is_missing_is_listed():
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    constants = {name for name in SSAOpRegistry.core_ops if name.startswith(("const", "_const"))}
    assert set(SSAOpRegistry.core_ops) - constants - set(operators()) == {name for names in MISSING.values() for name in names}


def test_no_operator_changes_its_inputs():
    for case, inputs in CASES.items():
        values = {name: given(value) for name, value in inputs.items()}
        before = {name: v.clone() for name, v in values.items() if isinstance(v, torch.Tensor)}
        operators()[case.partition(",")[0]].compute(**values)
        for name, value in before.items():
            assert torch.equal(value, values[name]), case
