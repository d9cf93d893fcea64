"""Canonical form: what every graph looks like after loading, whatever framework it came from.

The vocabulary (ATen overloads; nothing else may remain, ops outside it are kept whole and refused by converters by name):

* linear algebra: ``convolution.default`` (1-D, 2-D, 3-D, transposed; weights as PyTorch lays them out),
  ``linear.default``, ``matmul.default``, ``scaled_dot_product_attention.default``, ``lstm.input``, ``gru.input``
* normalization: ``layer_norm.default``, ``group_norm.default``, ``rms_norm.default``. Batch norm never remains: it is
  folded into the convolution or linear before it, else it is ``mul.Tensor`` and ``add.Tensor`` with constants shaped (C, 1, 1).
* activation: ``relu``, ``clamp.default`` (relu6, hardtanh, clip, clamp_min, clamp_max all become this; a bound may be None),
  ``gelu``, ``silu``, ``sigmoid``, ``tanh``, ``hardswish``, ``hardsigmoid``, ``elu``, ``leaky_relu``, ``softplus``, ``mish``,
  ``prelu``, ``glu``, ``softmax.int``, ``log_softmax.int``, ``erf``
* elementwise: ``add.Tensor``, ``sub.Tensor``, ``mul.Tensor``, ``div.Tensor``, ``pow.Tensor_Tensor``, ``minimum``, ``maximum``: both operands are
  nodes (a Python scalar becomes a 0-d constant of the other operand's dtype), no ``alpha``, no rounding mode; ``neg``, ``abs``, ``exp``, ``log``, ``sqrt``, ``rsqrt``, ``sin``, ``cos``,
  ``floor``, ``round``, ``where.self``, ``gt/lt/ge/le/eq/ne.Tensor``, ``logical_and``, ``logical_or``, ``logical_not``, ``_to_copy`` (dtype changes only)
* reduction: ``mean.dim``, ``sum.dim_IntList``, ``amax``, ``amin``, ``prod.dim_int`` (dims non-negative and sorted), ``cumsum``, ``argmax``, ``topk``
* pooling and resize: ``avg_pool2d``, ``max_pool2d`` (1-D pools become these between reshapes; global average pooling is ``mean.dim``),
  ``upsample_nearest2d.vec``, ``upsample_bilinear2d.vec``, ``pixel_shuffle``, ``pixel_unshuffle``, ``pad.default`` (constant, reflect, replicate)
* shape and index: ``reshape`` (static sizes, no -1), ``permute``, ``expand``, ``cat``, ``slice.Tensor`` (non-negative static bounds; split, chunk, select,
  unbind, narrow become slices and reshapes), ``flip``, ``repeat``, ``gather``, ``index_select``, ``embedding.default``
* control: ``getitem`` only on ``lstm``, ``gru`` and ``topk``; constants are ``get_attr`` nodes (buffers of the root module)

Functional (no in-place op), static shapes, float32, ids int32; no asserts, dropout, no-op casts, copies; constants folded. Convolutions
chain without a permute between them: a channels-last source has at most one permute at each edge of the model.
"""
