from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import LoadError
from edgekit.loading.naming import joined, leaves, output_names, replace_leaves, spec, unique

Pair = namedtuple("Pair", "left right")


@dataclass
class Boxes:
    xy: object
    score: object = None


NESTED = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3), max_leaves=8
)


def paths(value):
    return [path for path, _ in leaves(value)]


def test_a_lone_output_is_called_output():
    assert output_names(paths(1)) == ("output",)
    assert output_names(paths((1,))) == ("output",)


def test_tuples_are_numbered_and_keys_joined_with_dots():
    assert output_names(paths((1, 2))) == ("output_0", "output_1")
    assert output_names(paths({"p3": {"box": 1, "score": 2}, "all": 3})) == ("p3.box", "p3.score", "all")
    assert output_names(paths((1, {"box": 2}))) == ("output_0", "output_1.box")
    assert output_names(paths({"states": [1, 2]})) == ("states_0", "states_1")
    assert output_names(paths(OrderedDict(logits=1))) == ("logits",)


def test_fields_of_dataclasses_and_named_tuples_are_names():
    assert output_names(paths(Boxes(1, Pair(2, 3)))) == ("xy", "score.left", "score.right")


def test_none_is_no_leaf():
    assert output_names(paths({"logits": 1, "loss": None})) == ("logits",)
    assert output_names(paths(Boxes(1))) == ("xy",)


def test_the_first_number_of_a_path_follows_an_underscore():
    assert joined(("x",)) == "x"
    assert joined(("x", 0, 1, "y")) == "x_0.1.y"


@given(NESTED)
def test_replacing_leaves_keeps_the_structure(value):
    assert replace_leaves(value, lambda leaf: leaf) == value
    doubled = replace_leaves(value, lambda leaf: 2 * leaf)
    assert [2 * leaf for _, leaf in leaves(value)] == [leaf for _, leaf in leaves(doubled)]


def test_replacing_keeps_named_tuples_and_dataclasses():
    assert replace_leaves((Pair(1, 2), Boxes(3)), lambda leaf: -leaf) == (Pair(-1, -2), Boxes(-3))


@given(st.lists(st.sampled_from(["a", "a_1", "b"])))
def test_unique_names_are_unique_and_keep_first_ones(names):
    result = unique(names)
    assert len(set(result)) == len(names)
    assert all(new.startswith(old) for new, old in zip(result, names, strict=True))


def test_a_dtype_no_artifact_has_is_refused():
    with pytest.raises(LoadError, match="complex64"):
        spec("x", torch.zeros(2, dtype=torch.complex64))
