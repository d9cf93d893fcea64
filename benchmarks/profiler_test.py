import json

import pytest

from benchmarks import profiler
from benchmarks.busy import Busy, model
from benchmarks.profiler import PARTS, Part, made
from edgekit import profile
from edgekit.timing import Pace


def scripted(answers):
    """A part whose trials are right or wrong by script; its `asked` are the numbers of those made."""
    asked = []

    def trial(folder, number):
        asked.append(number)
        return {"right": answers[number]}

    return Part(trial, 0.95), asked


def test_trials_that_are_there_are_not_made_again(tmp_path):
    kept = tmp_path / "part.jsonl"
    stopped, asked = scripted([True, False])
    with pytest.raises(IndexError):  # whatever ends the process
        made(stopped, 100, kept)
    kept.write_text(kept.read_text() + '{"right": tr')
    going_on, asked = scripted([None, None, *[True] * 98])
    result = made(going_on, 100, kept)
    assert asked[0] == 2 and result["passed"] and result["right"] == 95 and result["made"] == 96
    assert len([json.loads(line) for line in kept.read_text().splitlines()]) == 96


@pytest.mark.parametrize("wrong, passed, number", [(5, True, 100), (6, False, 6)])
def test_a_part_ends_once_its_verdict_is_certain(tmp_path, wrong, passed, number):
    part, asked = scripted([*[False] * wrong, *[True] * (100 - wrong)])
    result = made(part, 100, tmp_path / "part.jsonl")
    assert result["passed"] is passed and len(asked) == number


def test_a_part_has_its_share_of_the_runs():
    assert {name: part.trials(100) for name, part in PARTS.items()} == {
        "known_duration": 4,
        "slower_by_5_percent": 100,
        "equal": 100,
        "throttling": 10,
    }


def test_an_interrupted_trial_is_not_kept(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Busy, "measure", interrupted)
    monkeypatch.setattr("sys.argv", ["profiler", "equal", "--out", str(tmp_path)])
    assert profiler.main() == 130 and "goes on" in capsys.readouterr().err
    assert not (tmp_path / "equal.jsonl").exists()


def test_half_a_comparison_is_no_trial(tmp_path, monkeypatch):
    measure, launches = Busy.measure, []

    def interrupted(self, request, pace, inputs):
        launches.append(request)
        if len(launches) > 8:
            raise KeyboardInterrupt
        return measure(self, request, Pace(min_samples=1, max_samples=1, warmup_seconds=0), inputs)

    monkeypatch.setattr(Busy, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PARTS["equal"].trial(tmp_path, 0)


def test_unknown_parts_are_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["profiler", "weather"])
    with pytest.raises(SystemExit):
        profiler.main()
    assert "weather" in capsys.readouterr().err


def test_kernels_take_no_less_than_they_say(tmp_path):
    found = profile(model(tmp_path, "known", spin_us=300), runtime=Busy(), launches=1, quick=True, min_time=0)
    assert found.launches[0].timings.samples_ns.min() >= 300_000
