import pytest

import edgekit
from edgekit.arguments import check_known


def test_known_ones_pass():
    check_known(["labels", "batch"], ["batch", "labels", "samples"])


def test_the_one_that_was_meant_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'label', did you mean 'labels'"):
        check_known(["batch", "label"], ["batch", "labels"])


@pytest.mark.parametrize("call", [edgekit.convert, edgekit.convert_all, edgekit.verify, edgekit.verify_all, edgekit.debug])
def test_every_public_function_says_so(call):
    given = {"data": None} if call is edgekit.debug else {"targets": ["ios"]} if call is edgekit.convert_all else {}
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'preproces', did you mean 'preprocess'"):
        call("nowhere.keras", **given, preproces=None)
