import numpy as np
import pytest

from edgekit.profiling import profile
from edgekit.profiling.counted import Estimate
from edgekit.profiling.sustaining import Sustained, Window
from edgekit.report import render_profile, write_profile_page
from edgekit.testing.counted import counted_profile
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy


@pytest.fixture
def found(tmp_path):
    (tmp_path / "a<b>.tflite").write_bytes(b"x")
    return profile(
        tmp_path / "a<b>.tflite", runtime=ScriptedRuntime([launch(noisy(1e5, s), energy_j=0.4, meter="powercap") for s in range(5)])
    )


def test_the_page_shows_histogram_operators_and_state(found):
    page = render_profile(found)
    assert "histogram of 2000 runs" in page and "CONV_2D" in page and "Device state" in page
    assert "before" in page and "after" in page and "1 mJ" in page
    assert "a&lt;b&gt;.tflite" in page and "a<b>" not in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert page == render_profile(found)


def test_a_long_launch_is_drawn(found):
    from dataclasses import replace

    curve = tuple(Window(float(i), 1.0 + 0.3 * (i > 10), 0.9, 1.5, 20, 2000.0 - i, None) for i in range(20))
    page = render_profile(replace(found, sustained=Sustained(20.0, curve, 11.0, 1.3, 1.0, 0.3)))
    assert "20 seconds back to back" in page and "after 11 s" in page and page.count("<polyline") == 2
    assert not np.isnan(1.0) and "nan" not in page


def test_counts_are_no_time(tmp_path):
    page = write_profile_page(tmp_path / "x" / "p.html", counted_profile()).read_text()
    assert "1,000,000" in page and "counted; no time" in page and "features.conv" in page
    assert "latency" not in page.lower() and "estimate" not in page.lower()


def test_an_estimate_is_labelled():
    page = render_profile(counted_profile(estimate=Estimate(2.0, None, None, None, 80.0, "my-board", "a datasheet")))
    assert "≈ 2 ms" in page and "estimated, not measured" in page and "a datasheet" in page
