"""Options out of range are refused by name, with what they take."""

import math

import pytest

from edgekit.compress.options import require_one_budget, require_one_of, require_within
from edgekit.errors import UsageError


def test_what_fits_passes():
    require_one_of("bits", 4, (2, 4, "auto"))
    require_within("ridge", 0.5, True, "over 0")
    require_within("ridge", None, False, "over 0")
    require_one_budget("prune", ["macs"], ["macs", "bytes"])


@pytest.mark.parametrize(
    ("refuse", "said"),
    [
        (lambda: require_one_of("bits", 5, (2, "auto")), "bits is 5\n  accepted: 2, auto"),
        (lambda: require_within("ridge", math.nan, False, "over 0"), "ridge is nan\n  accepted: over 0"),
        (lambda: require_within("ridge", -0.5, False, "over 0"), "ridge is -0.5\n  accepted: over 0"),
        (lambda: require_within("samples", 12_345_678, False, "fewer"), "samples is 12345678\n  accepted: fewer"),
        (lambda: require_one_budget("prune", [], ["macs", "bytes"]), "prune has no budget\n  accepted: one of macs, bytes"),
        (lambda: require_one_budget("prune", ["a", "b"], ["a", "b"]), "prune has a and b\n  accepted: one of a, b"),
    ],
)
def test_what_does_not_is_named(refuse, said):
    with pytest.raises(UsageError) as refused:
        refuse()
    assert str(refused.value) == said
