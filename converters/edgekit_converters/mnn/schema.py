"""Names and numbers of MNN's file format: its operators, dtypes and the fields of its tables that are read or written here."""

from __future__ import annotations

from enum import IntEnum
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

CONVOLUTIONS: Final = ("Convolution", "ConvolutionDepthwise", "Deconvolution", "DeconvolutionDepthwise")


class Parameters(IntEnum):
    """Members of the union of operator parameters."""

    BLOB = 7
    CONVOLUTION2D = 9
    INPUT = 21


class Coding(IntEnum):
    """How a coded weight is stored."""

    INDEXED = 1
    """As numbers of integers in a list."""
    HALF = 3
    """In half precision."""


# Fields of tables.


class Net(IntEnum):
    """The root."""

    TENSOR_DESCRIPTIONS = 1
    OPS = 3
    OUTPUTS = 4
    TENSOR_NAMES = 7
    SUBGRAPHS = 10
    UUID = 11


class Op(IntEnum):
    """An operator."""

    INPUTS = 0
    PARAMETERS_TYPE = 1
    PARAMETERS = 2
    NAME = 3
    OUTPUTS = 4
    TYPE = 5


class Input(IntEnum):
    """An input's parameters."""

    DIMS = 0
    DTYPE = 1


class Convolution2D(IntEnum):
    """A convolution's parameters."""

    WEIGHT = 1
    BIAS = 2
    CODED = 3
    SYMMETRIC = 4


class Coded(IntEnum):
    """A weight in compressed form (``IDSTQuan``)."""

    BUFFER = 0
    SCALES = 1
    TYPE = 2
    BITS = 7
    WIDE = 11
    """Whether sizes take 32 bits."""


class Blob(IntEnum):
    """A constant."""

    DIMS = 0
    DTYPE = 2
    UINT8S = 3
    INT8S = 4
    INT32S = 5
    INT64S = 6
    FLOAT32S = 7


class Description(IntEnum):
    """A tensor's description."""

    INDEX = 1
    GRID = 4


class Scaling(IntEnum):
    """The grid in a tensor's description (``TensorQuantInfo``)."""

    SCALE = 0
    ZERO = 1
    MIN = 2
    MAX = 3
    TYPE = 4


CONTENTS: Final = {Blob.UINT8S: "u1", Blob.INT8S: "i1", Blob.INT32S: "i4", Blob.INT64S: "i8", Blob.FLOAT32S: "f4"}
"""NumPy's name for the elements of each field that may hold a constant's values."""
