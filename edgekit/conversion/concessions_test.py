import pytest

from edgekit.conversion.concessions import KINDS, note, settle
from edgekit.errors import ConversionError

SAID = {
    "batch dimension fixed at 1": "batch",
    "input 'ids' is int32 instead of int64": "dtype",
    "weights in float64 converted to float32; the recipe chooses the precision": "dtype",
    "float: sin (tensor 'sin_default' of module 'rope'): no int8 kernel": "float",
    "SIN in rope stays in float": "float",
    "requantized: tensor 'a' has a grid fixed by its kernel; tensor 'b' needs another": "requantized",
    "DEQUANTIZE in rope between integer and float": "requantized",
    "TRANSPOSE at the model's edge": "transpose",
    "TRANSPOSE in head": "transpose",
    "int8 instead of int4 weights: convolution in tensor 'c' has no 4-bit kernel": "weights",
    "tensor 'x' is all zeros on the calibration data; its grid spans -1 to 1": "calibration",
    "random calibration: ranges were measured on noise, so accuracy means nothing": "random",
    "something new": "other",
}


@pytest.mark.parametrize(("text", "kind"), SAID.items())
def test_kinds_are_told_by_the_text(text, kind):
    assert note(text).kind == kind
    assert str(note(text)).startswith(f"{kind}: ")
    assert not str(note(text)).startswith(f"{kind}: {kind}: ")


def test_all_is_accepted_and_listed_by_default():
    assert [str(n) for n in settle(["something new"] * 2, ["TRANSPOSE"], None)] == ["other: something new", "transpose: TRANSPOSE"]


def test_what_is_not_accepted_is_an_error_that_lists_it():
    with pytest.raises(ConversionError, match="TRANSPOSE in head") as caught:
        settle([], ["TRANSPOSE in head"], ())
    assert caught.value.next_step == "accept them: --accept transpose"
    assert settle([], ["TRANSPOSE in head"], ("transpose",))


def test_a_documented_default_needs_no_acceptance():
    assert settle(["batch dimension fixed at 1"], [], ())


def test_an_operator_left_in_float_is_told_once_with_its_reason():
    reason = "float: sin (tensor 'sin_default' of module 'rope'): no int8 kernel"
    assert [n.text for n in settle([reason], ["SIN in rope stays in float", "COS in other stays in float"], None)] == [
        reason,
        "COS in other stays in float",
    ]


def test_kinds_are_words_of_a_command_line():
    assert all(kind.isidentifier() for kind in KINDS)
