"""Canonical form: what every graph looks like after loading, whatever framework it came from.

The vocabulary (ATen overloads, as data in `edgekit.canonicalize.vocabulary`). An op outside it is kept whole, and refused
by name by converters that do not know it. All arguments are positional, in schema order and with defaults filled in, but
for keyword-only ones.

* Linear algebra: ``convolution.default`` (1-D, 2-D, 3-D, transposed; weights as PyTorch lays them out; one number a
  spatial dimension), ``linear.default`` (weight and bias are constants), ``matmul.default`` (rank 2 or more),
  ``scaled_dot_product_attention.default``, ``lstm.input``, ``gru.input``.
* Normalization: ``layer_norm.default``, ``group_norm.default`` (instance norm too), ``rms_norm.default``. Batch norm never
  remains: it is folded into the convolution or linear before it (or after it, where that is exact), else it is
  ``mul.Tensor`` and ``add.Tensor`` with constants that have size 1 in every dimension but the channel's.
* Activation: ``relu``, ``clamp.default`` (relu6, hardtanh, clip, clamp_min and clamp_max; a bound may be None), ``gelu``,
  ``silu``, ``sigmoid``, ``tanh``, ``hardswish``, ``hardsigmoid``, ``elu(x, alpha)``, ``leaky_relu``,
  ``softplus(x, beta, threshold)``, ``mish``, ``prelu``, ``glu``, ``softmax.int``, ``log_softmax.int``, ``erf``.
* Elementwise: ``add``, ``sub``, ``mul``, ``div.Tensor``, ``pow.Tensor_Tensor``, ``minimum``, ``maximum``: both operands are
  nodes of the result's dtype (a Python scalar is a 0-d constant), no ``alpha``, no rounding mode; ``neg``, ``abs``, ``exp``,
  ``log``, ``sqrt``, ``rsqrt``, ``sin``, ``cos``, ``floor``, ``round``, ``where.self``, ``gt``, ``lt``, ``ge``, ``le``,
  ``eq``, ``ne.Tensor``, ``logical_and``, ``logical_or``, ``logical_not``, ``_to_copy(x, dtype=…)``. Constant arithmetic in
  a row is at most one ``mul`` and one ``add``.
* Reduction: ``mean.dim``, ``sum.dim_IntList``, ``amax``, ``amin``, ``prod.dim_int`` (dims non-negative and sorted, keepdim
  given), ``cumsum``, ``argmax``, ``topk``.
* Pooling and resize: ``avg_pool2d``, ``max_pool2d`` (1-D pools become these between reshapes; a pool of the whole image is
  ``mean.dim`` over [2, 3]), ``upsample_nearest2d.vec(x, [h, w], None)``, ``upsample_bilinear2d.vec(x, [h, w], align, None)``,
  ``pixel_shuffle``, ``pixel_unshuffle``, ``pad.default(x, pads, mode, value)`` (constant, reflect, replicate; no crops).
* Shape and index: ``reshape`` (static sizes, no -1; never two in a row), ``permute``, ``expand``, ``cat``, ``slice.Tensor``
  (static non-negative bounds; split, chunk, select, unbind, narrow and roll become slices and reshapes), ``flip``,
  ``repeat``, ``gather``, ``index_select`` (1-D index), ``embedding.default(weight, ids)``.
* Control: ``getitem`` only on ``lstm``, ``gru`` and ``topk``. Constants are ``get_attr`` nodes of root buffers.

Functional (no in-place op), static shapes, float32; no asserts, dropout, no-op casts or copies; constants folded. Integers
are int32: int64 inputs become int32 inputs (with a note), and what ATen gives in int64 (``argmax``, ``topk``, sums of
integers) is cast right after it; ``gather`` alone reads an int64 index, through a cast.

Symmetric zero padding is part of the convolution; asymmetric ("SAME") padding is a ``pad`` before it. Convolutions, pools,
elementwise calls, reductions, ``cat``, ``pad``, ``slice`` and ``softmax`` chain without a permute between them: a
channels-last source has at most one permute at each edge of the model, and around layers that normalize or
multiply along the last dimension. A Dense layer after a channels-last Flatten reads the channels-first order.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import fx
from torch.export import ExportedProgram

from edgekit.canonicalize.absorb_flatten import absorb_flatten
from edgekit.canonicalize.activations import activations
from edgekit.canonicalize.convolutions import convolutions
from edgekit.canonicalize.einsum import einsum
from edgekit.canonicalize.elementwise import elementwise
from edgekit.canonicalize.erase_noops import erase_noops
from edgekit.canonicalize.fold_affine import fold_affine
from edgekit.canonicalize.fold_constants import fold_constants
from edgekit.canonicalize.functionalize import functional_program, functionalize
from edgekit.canonicalize.indexing import indexing
from edgekit.canonicalize.inline_regions import inline_regions
from edgekit.canonicalize.lift import lift
from edgekit.canonicalize.merge_affine import merge_affine
from edgekit.canonicalize.merge_moves import merge_moves
from edgekit.canonicalize.merge_pads import merge_pads
from edgekit.canonicalize.narrow_dtypes import narrow_dtypes
from edgekit.canonicalize.normalizations import normalizations
from edgekit.canonicalize.pooling import pooling
from edgekit.canonicalize.products import products
from edgekit.canonicalize.recognise_activations import recognise_activations
from edgekit.canonicalize.recognise_resizes import recognise_resizes
from edgekit.canonicalize.reductions import reductions
from edgekit.canonicalize.rewriting import Rewrite, sweep
from edgekit.canonicalize.share_constants import share_constants
from edgekit.canonicalize.shrink_constants import shrink_constants
from edgekit.canonicalize.sink_permutes import sink_permutes
from edgekit.canonicalize.views import views
from edgekit.canonicalize.vocabulary import VOCABULARY, outside
from edgekit.graph import Graph, finish
from edgekit.loading.exported import Exported
from edgekit.tensors import TensorSpec

__all__ = ["REWRITES", "VOCABULARY", "canonicalize", "inlined", "outside"]

REWRITES: tuple[Rewrite, ...] = (
    erase_noops,  # first: no-op casts stand between all that later rewrites look for
    fold_constants,  # weights must be constants before anything asks whether they are
    views, indexing, elementwise, activations, reductions, pooling, convolutions, normalizations,  # spellings, in any order
    einsum,  # needs permute and reshape spelled so
    fold_constants,  # again: einsum permutes weights
    products,  # after einsum, which makes matrix products of weights
    narrow_dtypes,  # after spelling: fewer calls decide their own dtype
    fold_constants,  # again: casts of constants
    merge_moves,  # one reshape, one permute in a row, or patterns and permutes miss each other
    recognise_activations,  # before constants merge: the 3 of a hard sigmoid must not become part of a bias
    recognise_resizes,  # after moves merged, before permutes sink through the parts
    sink_permutes,  # a batch norm reaches its convolution only when no permute stands between them
    merge_moves,  # permutes that became free are reshapes now
    absorb_flatten,  # after sinking: what permutes are left is known
    merge_affine,  # before folding: one multiplication and one addition fold in one go
    fold_affine,
    merge_pads,  # after sinking, which brought pads beside their layers
    shrink_constants, share_constants,  # last: all constants exist now
)  # fmt: skip
"""The order, and the reason for each position."""


def canonicalize(exported: Exported) -> Graph:
    """Bring an exported program into canonical form. The program is not touched.

    Raises:
        LoadError: A size depends on data, the model writes to its own state, or it is in training mode.
    """
    module = inlined(exported.program)
    for rewrite in REWRITES:
        rewrite(module.graph)
    sweep(module.graph)
    finish(module)
    return _with_true_specs(Graph(module, exported.inputs, exported.outputs, exported.source, notes=exported.notes))


def inlined(program: ExportedProgram) -> fx.GraphModule:
    """A private, functional graph module of a program: where the rewrites start."""
    module = lift(program)
    inline_regions(module.graph)
    if not functionalize(module.graph):
        return module
    module = lift(functional_program(program))
    inline_regions(module.graph)
    return module


def _with_true_specs(graph: Graph) -> Graph:
    """Specs of the dtypes that inputs and outputs have now, and a note for each that changed."""
    values = [n.meta["val"] for n in graph.nodes if n.op == "placeholder"]
    (output,) = [n for n in graph.nodes if n.op == "output"]
    results = [n.meta["val"] for n in output.args[0]]  # type: ignore[union-attr]
    notes = []
    specs: list[tuple[TensorSpec, ...]] = []
    for kind, old, tensors in (("input", graph.inputs, values), ("output", graph.outputs, results)):
        new = tuple(replace(s, dtype=_name(t.dtype)) for s, t in zip(old, tensors, strict=True))
        notes += [f"{kind} {a.name!r} is {b.dtype} instead of {a.dtype}" for a, b in zip(old, new, strict=True) if a.dtype != b.dtype]
        specs.append(new)
    return replace(graph, inputs=specs[0], outputs=specs[1]).noting(*notes)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
