import math

import pytest
import torch
import torch.nn.functional as F

from edgekit.compress.training.answers import Answers
from edgekit.compress.training.losses import TERMS, Batch, Loss
from edgekit.errors import UsageError

OWN = torch.tensor([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]], requires_grad=True)
THEIRS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
BATCH = Batch([torch.zeros(2, 3)], F.one_hot(torch.tensor([0, 1]), 3).float())


def of(term: str, **options: float) -> torch.Tensor:
    return Loss({term: 1.0}, options.get("temperature", 1.0))(BATCH, Answers((OWN,)), Answers((THEIRS,)))


def test_labels_and_hard_are_cross_entropies():
    expected = F.cross_entropy(OWN, torch.tensor([0, 1]))
    torch.testing.assert_close(of("labels"), expected)
    torch.testing.assert_close(of("hard"), expected)  # the teacher finds 0 and 1, too


def test_soft_is_the_divergence_times_the_squared_temperature():
    teacher, student = (torch.softmax(x / 3, 1) for x in (THEIRS, OWN))
    expected = 9 * (teacher * (teacher.log() - student.log())).sum(1).mean()
    torch.testing.assert_close(of("soft", temperature=3.0), expected)
    assert float(Loss({"soft": 1.0}, 2.0)(BATCH, Answers((OWN,)), Answers((OWN,)))) == pytest.approx(0, abs=1e-6)


def test_soft_tends_to_the_distance_of_centred_logits():
    """Hinton et al. 2015, section 2.1: at high temperature, matching logits is what is left."""
    centred = [x - x.mean(1, keepdim=True) for x in (OWN, THEIRS)]
    expected = (centred[0] - centred[1]).square().sum(1).mean() / (2 * 3)
    torch.testing.assert_close(of("soft", temperature=300.0), expected, rtol=0.02, atol=0.0)


def test_distances_are_in_shares_of_the_variance():
    torch.testing.assert_close(of("outputs"), (OWN - THEIRS).square().mean() / THEIRS.var(correction=0))
    given = Batch([THEIRS], None)
    torch.testing.assert_close(Loss({"inputs": 1.0}, 1.0)(given, Answers((OWN,)), None), of("outputs"))
    constant = Loss({"outputs": 1.0}, 1.0)(BATCH, Answers((OWN,)), Answers((torch.zeros(2, 3),)))
    assert math.isfinite(float(constant)) or float(constant) > 1e30


def test_terms_add_up_by_their_weights():
    mixed = Loss({"labels": 0.25, "soft": 2.0}, 1.0)(BATCH, Answers((OWN,)), Answers((THEIRS,)))
    torch.testing.assert_close(mixed, 0.25 * of("labels") + 2 * of("soft"))
    assert set(TERMS) == set(Loss({}, 1.0)._terms)


def test_one_score_stands_for_two_classes():
    score, labels = torch.tensor([[0.7], [-1.2]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found = Loss({"labels": 1.0}, 1.0)(Batch([], labels), Answers((score,)), None)
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(score[:, 0], labels[:, 1]))


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_projections_join_other_widths(rank):
    spatial = {2: (), 3: (7,), 4: (5, 5)}[rank]
    own, theirs = ((1, *spatial, 4), (1, *spatial, 6)) if rank < 4 else ((1, 4, *spatial), (1, 6, *spatial))
    loss = Loss({"features": 1.0}, 1.0, [(own, theirs), (own, own)])
    values = [torch.randn(3, *shape[1:]) for shape in (own, theirs)]
    found = loss(Batch([], None), Answers((), (values[0], values[0])), Answers((), (values[1], values[0])))
    found.backward()
    assert float(found) > 0 and all(p.grad is not None for p in loss.parameters())
    assert sum(p.numel() for p in loss.parameters()) == 4 * 6 + 6


def test_features_of_other_sizes_are_refused():
    for own, theirs in (((1, 4, 8, 8), (1, 4, 4, 4)), ((1, 4, 8), (1, 4)), ((1, 7, 4), (1, 8, 4))):
        with pytest.raises(UsageError, match="cannot be compared"):
            Loss({"features": 1.0}, 1.0, [(own, theirs)])
