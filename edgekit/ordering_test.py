import itertools
from dataclasses import dataclass

import pytest

from edgekit.errors import UsageError
from edgekit.ordering import CLASHES, NEEDS, check_order
from edgekit.recipe import PASSES


@dataclass(frozen=True)
class Step:
    name: str


def check(*names):
    check_order([Step(name) for name in names], "mine")


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("somebody_elses", "prune", "somebody_elses"),
        ("prune_channels", "fine_tune", "prune_channels", "fine_tune", "equalize", "quantize", "bias_correction"),
        ("low_rank", "prune", "fine_tune", "cluster", "fine_tune", "quantize", "fine_tune", "bias_correction"),
        ("prune", "prune_channels", "smooth", "mixed_precision", "adaround"),
        ("cluster", "cluster", "quantize"),
    ],
)
def test_what_works_is_accepted(names):
    check(*names)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("cluster", "prune"), r"'prune' \(pass 2\) cannot follow 'cluster' \(pass 1\): a table of few values need not hold zero"),
        (("quantize", "equalize"), "the grids were chosen for the ranges"),
        (("equalize", "quantize", "fine_tune", "prune_channels"), r"'prune_channels' \(pass 4\) cannot follow 'quantize' \(pass 2\)"),
        (("prune", "low_rank"), "the pruning would be lost"),
        (("quantize", "quantize"), "on grids already"),
        (("quantize", "cluster"), "rounded already"),
        (("bias_correction",), "no rounding yet"),
        (("adaround", "quantize"), "no rounding yet"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(names, says):
    with pytest.raises(UsageError, match=says) as error:
        check(*names)
    assert "recipe 'mine'" in str(error.value) and error.value.accepted


@pytest.mark.parametrize(("late", "early"), [(a, b) for c in CLASHES for a, b in itertools.product(c.late, c.early)])
def test_every_clash_is_refused_wherever_the_two_stand(late, early):
    with pytest.raises(UsageError):
        check("fine_tune", *("quantize",) * (early in ("adaround", "bias_correction")), early, "fine_tune", late)


def test_every_rule_is_about_passes_there_are():
    named = {name for rule in (*CLASHES, *NEEDS) for name in (*rule.late, *rule.early)}
    assert named <= set(PASSES), named - set(PASSES)
