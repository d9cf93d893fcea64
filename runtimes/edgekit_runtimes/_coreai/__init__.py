"""A second opinion on Core ML packages: the program read from the file, translated for Apple's own Core AI runtime, and run there."""

TRANSLATED = (
    "abs", "add", "avg_pool", "cast", "clip", "concat", "conv", "cos", "erf", "exp", "expand_dims", "flatten2d", "gelu", "identity",
    "layer_norm", "linear", "matmul", "max_pool", "maximum", "minimum", "mul", "pad", "pow", "real_div", "reduce_max", "reduce_mean",
    "reduce_min", "reduce_sum", "relu", "relu6", "reshape", "sigmoid", "sigmoid_hard", "silu", "sin", "softmax", "sqrt", "squeeze", "sub",
    "tanh", "transpose",
)  # fmt: skip
"""The MIL operators that `translate` has, known without the extra."""
