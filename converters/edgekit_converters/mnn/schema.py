"""Names and numbers of MNN's file format: its operators, dtypes and the fields of its tables that are read or written here."""

from __future__ import annotations

from typing import Final

_FIRST = """
AbsVal QuantizedAdd ArgMax AsString InstanceNorm BatchToSpaceND Copy BinaryOp Bnll Cast Concat Const Convolution
ConvolutionDepthwise Crop CropAndResize ImageProcess Deconvolution DeconvolutionDepthwise Dequantize DetectionOutput Dropout Eltwise ELU
Unique Exp ExpandDims Fill Flatten Im2Col Gather GatherV2 Im2Seq InnerProduct Input Interp Log LRN LSTM MatMul MoE NonMaxSuppression
NonMaxSuppressionV2 Normalize Pack Padding Permute Pooling Power PReLU PriorBox Proposal QuantizedAvgPool QuantizedBiasAdd
QuantizedConcat QuantizedDepthwiseConv2D QuantizedLogistic RasterAndInterpolate QuantizedMaxPool Texture RasterDiff QuantizedReshape
QuantizedSoftmax QuantizeMaxMin QuantizeV2 Range Rank ReduceJoin Reduction ReLU ReLU6 RequantizationRange Requantize Reshape Resize RNN
ROIPooling Scale Selu Seq2Out Shape Sigmoid Size Slice SliceTf Softmax SpaceToBatchND SpatialProduct Col2Im Segment Squeeze StridedSlice
CastLike StringSplit StringToNumber TanH TfQuantizedConv2D Threshold Tile TopKV2 Transpose UnaryOp Unpack Where Moments RNNSequenceGRU
BatchMatMul Unsqueeze CosineSimilarity DepthToSpace SpaceToDepth ReverseSequence Pooling3D Convolution3D MatrixBandPart GatherND
DetectionPostProcess UnravelIndex ScatterNd OneHot BroadcastTo Dilation2D Interp3D
"""
_LATER = """
Raster ConvertTensor ArgMin LinSpace RandomUniform TensorArray TensorArraySize TensorArrayRead TensorArrayWrite
TensorArrayGather TensorArrayScatter TensorArraySplit TensorArrayConcat LSTMBlockCell Reverse ROIAlign RandomNormal TensorArrayInsert
TensorArrayErase EyeLike CumSum Det CumProd ScatterElements GatherElements Svd Histogram DynamicQuant Stft
"""

OPERATORS: Final[dict[int, str]] = {
    **dict(enumerate(_FIRST.split())), **dict(enumerate(_LATER.split(), 128)),
    256: "Plugin", 257: "Select", 258: "ZerosLike", 259: "Broastcast", 260: "SetDiff1D", 261: "ReluGrad", 262: "Identity", 267: "BatchNorm",
    268: "ConvTranspose3D", 299: "Attention", 304: "GroupNorm", 512: "Extra", 513: "ConvInt8", 514: "Int8ToFloat", 515: "DepthwiseConvInt8",
    517: "FloatToInt8", 518: "EltwiseInt8", 600: "While", 601: "If", 603: "LayerNorm", 604: "GridSample",
}  # fmt: skip
"""Number to name, of MNN 3.6; numbers are never reused."""

DTYPES: Final[dict[int, str]] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    10: "bool",
    19: "float16",
}
INT8: Final = 6

CONVOLUTION2D: Final = 9
BLOB: Final = 7
INPUT: Final = 21
"""Members of the union of operator parameters."""

CONVOLUTIONS: Final = ("Convolution", "ConvolutionDepthwise", "Deconvolution", "DeconvolutionDepthwise")


class Net:
    """Fields of the root table."""

    TENSOR_DESCRIPTIONS: Final = 1
    OPS: Final = 3
    OUTPUTS: Final = 4
    TENSOR_NAMES: Final = 7
    SUBGRAPHS: Final = 10
    UUID: Final = 11


class Op:
    """Fields of an operator."""

    INPUTS: Final = 0
    PARAMETERS_TYPE: Final = 1
    PARAMETERS: Final = 2
    NAME: Final = 3
    OUTPUTS: Final = 4
    TYPE: Final = 5


class Convolution2D:
    """Fields of a convolution's parameters."""

    WEIGHT: Final = 1
    BIAS: Final = 2
    CODED: Final = 3
    SYMMETRIC: Final = 4


class Coded:
    """Fields of a weight in compressed form (``IDSTQuan``)."""

    BUFFER: Final = 0
    SCALES: Final = 1
    TYPE: Final = 2
    INDEXED: Final = 1
    """The type of weights that are numbers of integers in a list."""
    HALF: Final = 3
    """The type of half-precision weights."""
    BITS: Final = 7
    WIDE: Final = 11
    """Whether sizes take 32 bits."""


class Blob:
    """Fields of a constant."""

    DIMS: Final = 0
    DTYPE: Final = 2
    VECTORS: Final = {3: "u1", 4: "i1", 5: "i4", 6: "i8", 7: "f4"}


class Description:
    """Fields of a tensor's description, and of the grid in it."""

    INDEX: Final = 1
    GRID: Final = 4
    SCALE: Final = 0
    ZERO: Final = 1
    MIN: Final = 2
    MAX: Final = 3
    TYPE: Final = 4
