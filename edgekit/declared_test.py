"""Dataclasses from users' tables have the fields and types they declare, or the user is told which do not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from edgekit import declared
from edgekit.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """Every kind of field that documents fill."""

    rate: float
    count: int | None = None
    keep: tuple[str, ...] = ()
    size: int | tuple[int, int] = 1
    shares: Mapping[str, float] = field(default_factory=dict)
    exact: bool = False


def test_lists_become_tuples_and_whole_numbers_may_be_given_where_any_number_is_wanted():
    table = {"rate": 1, "count": 3, "keep": ["a", "b"], "size": [2, 3], "shares": {"a": 1, "b": 0.5}, "exact": True}
    assert declared.build(Settings, table, "settings") == Settings(1, 3, ("a", "b"), (2, 3), {"a": 1, "b": 0.5}, exact=True)


def test_one_value_stands_for_a_list_of_one():
    assert declared.build(Settings, {"rate": 1.0, "keep": "head"}, "settings").keep == ("head",)


def test_null_is_a_value_only_where_it_is_declared():
    assert declared.build(Settings, {"rate": 1.0, "count": None}, "settings").count is None
    with pytest.raises(UsageError, match="rate is None"):
        declared.build(Settings, {"rate": None}, "settings")


@pytest.mark.parametrize(
    ("table", "accepted"),
    [
        ({"rate": "fast"}, "a number"),
        ({"rate": True}, "a number"),
        ({"rate": 1.0, "count": 1.5}, "a whole number"),
        ({"rate": 1.0, "keep": [1]}, "a list, each text"),
        ({"rate": 1.0, "keep": {"a": 1}}, "a list, each text"),
        ({"rate": 1.0, "size": [1, 2, 3]}, "a whole number or a list, each a whole number, 2 of them"),
        ({"rate": 1.0, "shares": 1}, "a table, each value a number"),
        ({"rate": 1.0, "shares": {"a": "b"}}, "a table, each value a number"),
        ({"rate": 1.0, "exact": 1}, "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_wanted(table, accepted):
    with pytest.raises(UsageError) as refused:
        declared.build(Settings, table, "a.toml")
    name = list(table)[-1]
    assert f"a.toml: {name} is {table[name]!r}" in str(refused.value)
    assert str(refused.value).endswith(f"accepted: {accepted}")


def test_unknown_and_missing_keys_are_named():
    with pytest.raises(UsageError, match=r"settings has no option \['speed'\]"):
        declared.build(Settings, {"rate": 1.0, "speed": 2}, "settings")
    with pytest.raises(UsageError, match=r"settings lacks \['rate'\]"):
        declared.build(Settings, {}, "settings")
