"""Every example runs, by itself, as its first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SCRIPTS = sorted(FOLDER.glob("0*.py"))
SLOW = {"03_own_recipe.py", "05_compare.py"}

pytest.importorskip("sklearn")


def run(script, folder):
    return subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.parametrize(
    "script", [pytest.param(s, marks=pytest.mark.slow) if s.name in SLOW else s for s in SCRIPTS], ids=lambda p: p.stem
)
def test_example_runs(script, tmp_path):
    result = run(script, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert f"python examples/{script.name}" in script.read_text(encoding="utf-8"), "an example says how to run it"


@pytest.mark.slow
def test_demo_leaves_artifacts_and_reports(tmp_path):
    import edgekit

    result = run(FOLDER / "demo.py", tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ("pytorch-float32", "pytorch-int8", "keras-float32", "keras-int8"):
        artifact = edgekit.Artifact.load(tmp_path / "build" / "demo" / name)
        evidence = artifact.manifest.evidence
        assert evidence["metric"]["artifact"]["value"] > 0.95
        assert abs(evidence["metric"]["difference"]["value"]) < 0.01
        page = (tmp_path / "build" / "demo" / f"{name}.html").read_text(encoding="utf-8")
        assert "Against the float model" in page and "Operators" in page
        assert name in page
    assert "latency" in result.stdout and "99" in result.stdout
