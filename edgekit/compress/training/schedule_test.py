import pytest

from edgekit.compress.training.schedule import SCHEDULES, Budget, rate


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_rates_rise_then_fall(schedule, warmup):
    rates = [rate(schedule, done / 1000, warmup) for done in range(1001)]
    peak = round(1000 * warmup)
    assert rates[peak] == 1.0 == max(rates) and rates[0] > 0
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0)


def test_a_budget_ends_with_its_steps():
    budget = Budget(10, None)
    assert [budget.done(step) for step in (0, 5, 10, 12)] == [0.0, 0.5, 1.0, 1.0]


def test_a_budget_ends_with_its_seconds(monkeypatch):
    now = iter([100.0, 100.0, 130.0, 130.0, 161.0, 161.0])
    monkeypatch.setattr("edgekit.compress.training.schedule.time.perf_counter", lambda: next(now))
    budget = Budget(None, 60.0)
    assert [budget.done(1) for _ in range(3)] == [0.0, 0.5, 0.5]
    assert budget.done(1) == 1.0 and budget.elapsed == 61.0


def test_what_ends_first_ends_a_budget(monkeypatch):
    monkeypatch.setattr("edgekit.compress.training.schedule.time.perf_counter", lambda: 7.0)
    budget = Budget(100, 50.0, spent=30.0)  # a resumed one
    assert budget.done(10) == 0.6 and budget.done(80) == 0.8
