import json

import click
import pytest

from edgekit.cli.outputs import Outputs
from edgekit.cli.parse import Share
from edgekit.errors import UsageError
from edgekit.testing.counted import counted_profile


def outputs(tmp_path, **changes):
    files = {"out": tmp_path / "p.json", "html": tmp_path / "p.html", "junit": tmp_path / "p.xml"}
    nothing = {"csv": None, "chrome_trace": None, "baseline": None, "max_regression": 0.05}
    return Outputs(**{**files, **nothing, **changes})


@pytest.mark.parametrize("text, share", [("5%", 0.05), ("0.05", 0.05), ("12.5 %", 0.125), ("0", 0.0)])
def test_shares(text, share):
    assert Share().convert(text, None, None) == pytest.approx(share)


@pytest.mark.parametrize("text", ["five", "-1%", "5%%", ""])
def test_no_shares(text):
    with pytest.raises(click.BadParameter):
        Share().convert(text, None, None)


def test_files_of_several_devices_have_names_of_their_own(tmp_path):
    outputs(tmp_path).write(counted_profile(), "qemu:cortex-m4")
    assert json.loads((tmp_path / "p-qemu-cortex-m4.json").read_text())["basis"] == "counted"
    assert {p.name for p in tmp_path.iterdir()} == {"p-qemu-cortex-m4.json", "p-qemu-cortex-m4.html", "p-qemu-cortex-m4.xml"}


def test_a_profile_in_the_making_is_kept_and_replaced(tmp_path):
    files = outputs(tmp_path)
    files.keep(counted_profile(1000))
    assert {p.name for p in tmp_path.iterdir()} == {"p.json"}
    files.write(counted_profile(2000))
    assert {p.name for p in tmp_path.iterdir()} == {"p.json", "p.html", "p.xml"}


def test_a_baseline_is_held_against(tmp_path):
    outputs(tmp_path).write(counted_profile(1000))
    held = outputs(tmp_path, baseline=tmp_path / "p.json", out=None).write(counted_profile(1100))
    assert not held.passed and held.ratio.value == pytest.approx(1.1)
    assert 'failures="1"' in (tmp_path / "p.xml").read_text()


def test_counts_have_no_timeline(tmp_path):
    with pytest.raises(UsageError, match="no times"):
        outputs(tmp_path, chrome_trace=tmp_path / "t.json").write(counted_profile())
