import subprocess

import pytest

from edgekit.errors import DeviceUnavailable, EdgekitError
from edgekit_runtimes import _debian
from edgekit_runtimes._compiling import compiled


@pytest.fixture
def source(tmp_path, monkeypatch):
    if _debian.find("gcc") is None:
        pytest.skip("gcc is missing: make setup-emulators")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "source" / "program.c"
    path.parent.mkdir()
    path.write_text('#include <stdio.h>\n#include "part.h"\nint main(void) { return puts(WORD) < 0; }\n')
    (path.parent / "part.h").write_text('#define WORD "one"\n')
    return path


def build(source, **changes):
    options = {"name": "program", "package": "gcc"} | changes
    return compiled(source, options.pop("compiler", "gcc"), ("-O1",), **options)


def test_a_program_is_compiled_once_until_its_source_changes(source):
    first, again = build(source), build(source)
    assert first == again and subprocess.check_output([first], text=True) == "one\n"
    (source.parent / "part.h").write_text('#define WORD "two"\n')
    assert subprocess.check_output([build(source)], text=True) == "two\n"


def test_a_missing_compiler_is_told_with_the_command_that_installs_it(source):
    with pytest.raises(DeviceUnavailable, match="no-such-gcc is not installed") as caught:
        build(source, compiler="no-such-gcc", package="gcc-no-such")
    assert caught.value.next_step.startswith("apt-get install --no-install-recommends gcc-no-such")


def test_what_the_compiler_refuses_is_told(source):
    source.write_text("int main(void) { return nothing; }")
    with pytest.raises(EdgekitError, match=r"cannot compile program: .*nothing"):
        build(source)
