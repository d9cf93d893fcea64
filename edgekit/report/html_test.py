import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgekit import artifact as artifacts
from edgekit.artifact import Artifact, Manifest
from edgekit.plugins import EmittedOp
from edgekit.profiling import profile
from edgekit.report import charts, render, write_report
from edgekit.source import Source
from edgekit.tensors import Grid, TensorSpec
from edgekit.testing.scripted_runtime import ScriptedRuntime, launch, noisy
from edgekit.verification.intervals import Estimate
from edgekit.verification.metrics import MetricResult
from edgekit.verification.parity import OutputParity
from edgekit.verification.verdict import GateResult, Verdict

EVIL = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags, balanced; text; and everything that could reach outside."""

    VOID = frozenset({"meta", "br", "img", "input", "link", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action") or k.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def made(folder, name, *, text="conv1", notes=(), content=b"x" * 20_000):
    path = folder / name
    spec = TensorSpec(text, (1, 8, 8, 1), "int8", Grid("int8", (0.5,), (-128,)))
    with artifacts.creating(path) as made:
        (made / "model.tflite").write_bytes(content)
        (made / artifacts.RECIPE).write_text(f'name = "int8" # {text}\n')
        source = Source("pytorch", text, "ab" * 32)
        ops = (EmittedOp("CONV_2D", text, "int8"), EmittedOp("SOFTMAX", "head", "int8"))
        manifest = Manifest(
            "android",
            "litert",
            "model.tflite",
            source,
            (spec,),
            (spec,),
            "int8",
            ops,
            notes=notes,
            labels=(text,),
            tools={"edgekit": "0.1"},
        )
        artifacts.seal(made, manifest)
    return Artifact.load(path)


def verdict(text="out", passed=True, metric=True):
    estimate = Estimate(0.9, 0.88, 0.92, "wilson")
    result = MetricResult("accuracy", estimate, estimate, Estimate(-0.01, -0.02, 0.0, "newcombe")) if metric else None
    parity = (OutputParity(text, 0.1, 0.01, math.inf, 1.0, 0.99),)
    return Verdict(
        "ab" * 32, "litert", "xnnpack", 500, "source", parity, result, (GateResult("min_cosine", text, 0.9, 1.0, passed),), (text,)
    )


def measured(artifact, **changes):
    return profile(artifact, runtime=ScriptedRuntime([launch(noisy(1e5, s), **changes) for s in range(5)]))


def test_the_page_is_whole_and_reaches_nowhere(tmp_path):
    artifact = made(tmp_path, "net")
    page = Page(render(artifact, verdict(), measured(artifact)))
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.tags) and not page.links
    for expected in ("net", "90.0%", "100 µs", "conv1", "CONV_2D", "0.5 × (q + 128)", "verified"):
        assert expected in page.text, expected


@pytest.mark.parametrize("has_verdict", [True, False])
@pytest.mark.parametrize("has_profile", [True, False])
def test_parts_that_are_missing_are_said_to_be(tmp_path, has_verdict, has_profile):
    artifact = made(tmp_path, "net")
    page = Page(render(artifact, verdict() if has_verdict else None, measured(artifact) if has_profile else None))
    assert ("not verified" in page.text) != has_verdict
    assert ("not measured" in page.text) != has_profile


def test_names_cannot_become_markup(tmp_path):
    artifact = made(tmp_path, "net", text=EVIL, notes=(EVIL,))
    runtime = ScriptedRuntime([launch(noisy(1e5, s)) for s in range(5)])
    text = render(artifact, verdict(EVIL), profile(artifact, runtime=runtime))
    page = Page(text)
    assert "<script" not in text and "<img" not in text and not page.links
    assert EVIL in page.text


def test_what_cannot_be_trusted_says_so(tmp_path):
    artifact = made(tmp_path, "net", notes=("float: SOFTMAX left in float",))
    page = Page(render(artifact, verdict(passed=False), measured(artifact, cpu_share=0.4)))
    for expected in ("verification failed", "measurement not trusted", "1 concession", "got the CPU 40%", "SOFTMAX left in float"):
        assert expected in page.text


def test_beside_the_float_model(tmp_path):
    artifact, other = made(tmp_path, "small"), made(tmp_path, "large", content=b"x" * 80_000)
    page = Page(render(artifact, None, measured(artifact), baseline=other, baseline_profile=measured(other)))
    assert "4.00 × smaller than large (80 kB)" in page.text and "× the speed of large" in page.text


def test_without_a_metric_the_parity_leads(tmp_path):
    assert "signal to noise" in Page(render(made(tmp_path, "net"), verdict(metric=False))).text


def test_the_same_input_gives_the_same_bytes(tmp_path):
    artifact = made(tmp_path, "net")
    found = measured(artifact)
    assert render(artifact, verdict(), found) == render(artifact, verdict(), found)


def test_a_page_and_its_data_are_written(tmp_path):
    artifact = made(tmp_path, "net")
    path = write_report(tmp_path / "new" / "net.html", artifact, verdict(), measured(artifact))
    assert path.read_text().startswith("<!doctype html>")
    document = json.loads(path.with_suffix(".json").read_text())
    assert document["schema"] == "edgekit.report/1"
    assert document["artifact"]["schema"] == "edgekit.artifact/1"
    assert document["verdict"]["parity"][0]["cosine"] == 1.0
    assert len(document["profile"]["launches"]) == 5


def test_no_operators_no_table(tmp_path):
    artifact = made(tmp_path, "net")
    runtime = ScriptedRuntime([launch(noisy(1e5, s)) for s in range(5)], ops=())
    assert "No per-operator times" in Page(render(artifact, None, profile(artifact, runtime=runtime))).text


@pytest.mark.parametrize("values", [np.ones(5), np.array([1.0, 1e6]), np.linspace(0.001, 0.002, 400), np.array([3.0])])
def test_charts_of_odd_samples_stay_in_their_frame(values):
    for drawing in (
        charts.histogram(values, values.min(), values.max(), float(np.median(values)), "µs"),
        charts.launches([values, values], "µs"),
    ):
        Page(str(drawing))
        assert "nan" not in drawing and "inf" not in drawing


def test_the_template_has_no_unescaped_hole():
    text = Path(charts.__file__).with_name("page.html.j2").read_text()
    assert "|safe" not in text.replace(" ", "") and "autoescape" not in text
