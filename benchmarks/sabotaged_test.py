import json

import numpy as np
import pytest
import torch

from benchmarks import sabotaged
from benchmarks.sabotaged import CASES, Case, Row
from edgekit.testing.failing import failing_net

FOUND = Row("net stem", ("stem",), 0.9, ("per-channel spread",), True, False, 0.915, 0.892, 0.914, "channels equalized", 1, 2.0, 3.0)


@pytest.mark.parametrize("whole", [False, True])
def test_in_float_nothing_changes(whole):
    graph = failing_net(1.0)
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    broken = sabotaged.sabotaged(graph, Case("net", ("stem",), whole), images)
    x = torch.from_numpy(images[:1])
    torch.testing.assert_close(broken(x)[0], graph(x)[0], rtol=1e-4, atol=1e-5)
    before, after = (next(t for n, t in g.module.named_buffers() if t.shape == (8, 3, 3, 3)) for g in (graph, broken))
    assert not torch.equal(before, after)


def test_rows_are_kept_with_the_machine(tmp_path):
    assert sabotaged.kept(tmp_path) == {}
    sabotaged.write(tmp_path, [FOUND])
    assert sabotaged.kept(tmp_path) == {FOUND.case: FOUND}
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["rows"][0]["met"] and document["machine"]["cores"] and document["versions"]["torch"]


def test_the_table_says_what_was_found():
    assert "| stem (90% of the noise) | per-channel spread | 0.915 | 0.892 | 0.914 |" in sabotaged.table([FOUND])[2]
    assert len({case.name for case in CASES}) == len(CASES) and any(len(case.layers) > 1 for case in CASES)
