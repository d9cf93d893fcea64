import pytest

from benchmarks.recovery import LEAST, OURS, PEERS, Run, goals, table

L1, NORM, *_ = PEERS


def run(tool: str, accuracy: float, seed: int = 0, int8: float | None = None) -> Run:
    return Run(tool, seed, 2.1, 400_000, 0.2, accuracy, int8)


def test_held_against_the_better_of_the_peers_means():
    runs = [
        run(OURS, 0.905, int8=0.903),
        run(OURS, 0.907, 1, 0.905),
        run(L1, 0.91),
        run(L1, 0.89, 1),
        run(NORM, 0.906),
        run(NORM, 0.904, 1),
    ]
    assert goals(runs) == {f"accuracy ≥ {LEAST:.3f}": True, "int8 loses 0.005 at most": True, "accuracy ≥ Torch-Pruning's best": True}
    assert not all(goals([*runs, run(NORM, 0.95, 2)]).values())


@pytest.mark.parametrize(("accuracy", "int8", "missed"), [(0.899, 0.899, 0), (0.91, 0.904, 1), (0.91, None, 1)])
def test_goals_that_are_missed(accuracy, int8, missed):
    assert list(goals([run(OURS, accuracy, int8=int8)]).values()).index(False) == missed


def test_nothing_is_said_of_ours_where_only_peers_ran():
    assert goals([run(L1, 0.9)]) == {}


def test_the_table_shows_means_and_ranges():
    text = "\n".join(table([run(OURS, 0.90, int8=0.899), run(OURS, 0.92, 1, 0.919), run(L1, 0.93)]))
    assert "| edgekit | 2 | 2.10 | 400,000 | 0.2000 (0.200–0.200) | 0.9100 (0.900–0.920) |" in text
    assert "accuracy ≥ Torch-Pruning's best: **not met**" in text
