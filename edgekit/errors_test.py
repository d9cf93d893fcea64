import inspect

import pytest

from edgekit import errors

ERRORS = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.EdgekitError)]


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_is_one_tree_and_has_an_exit_code(cls):
    assert issubclass(cls, errors.EdgekitError)
    assert cls("something").exit_code in {1, 2, 3, 4, 5, 70}


def test_an_error_says_what_was_got_where_what_is_accepted_and_what_to_do():
    error = errors.UsageError("got 3 channels", accepted=["1", "4"], module="stem.conv", next_step="edgekit doctor")
    assert str(error).splitlines() == [
        "got 3 channels",
        "  in your module: stem.conv",
        "  accepted: 1, 4",
        "  next: edgekit doctor",
    ]


def test_a_conversion_error_names_the_operator_and_its_shapes_after_the_headline():
    error = errors.ConversionError("no kernel", op="aten.roll", shapes=[(1, 2), ()], module="body")
    assert str(error).splitlines() == ["no kernel", "  op: aten.roll on 1x2, scalar", "  in your module: body"]


def test_a_headline_alone_stays_alone():
    assert str(errors.ConversionError("no kernel")) == "no kernel"
