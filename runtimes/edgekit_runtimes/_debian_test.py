import os
from pathlib import Path

import pytest

from edgekit_runtimes import _debian
from edgekit_runtimes._debian import Tool


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine on which only what the test puts into the folder exists."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_debian, "find", lambda program: str(tmp_path / program) if (tmp_path / program).exists() else None)
    monkeypatch.setattr(_debian.shutil, "which", _debian.find)
    monkeypatch.setattr(_debian, "TOOLS", (Tool("one", "package-one", "boards"), Tool(str(tmp_path / "two"), "package-two", "chips")))
    monkeypatch.setattr(_debian.missing, "__defaults__", (_debian.TOOLS,))
    return tmp_path


def script(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\nexport PATH=/usr/bin:/bin\n{text}\n")
    path.chmod(0o755)


def test_nothing_is_said_where_nothing_is_missing(bare, capfd):
    (bare / "one").touch(), (bare / "two").touch()
    assert _debian.main() == 0
    assert capfd.readouterr() == ("", "")


def test_what_is_missing_is_installed_at_once(bare, monkeypatch, capfd):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(bare, "apt-get", f"echo $* >>{bare}/log; touch {bare}/one {bare}/two")
    assert _debian.main() == 0
    (line,) = (bare / "log").read_text().splitlines()
    assert line.startswith("install --yes") and "package-one package-two" in line
    assert "left out" not in capfd.readouterr().err


def test_lists_are_updated_only_if_the_first_try_fails(bare, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(bare, "apt-get", f"echo $1 >>{bare}/log; [ $1 = update ] && touch {bare}/ok; [ -e {bare}/ok ]")
    _debian.main()
    assert (bare / "log").read_text().split() == ["install", "update", "install"]


def test_without_a_network_it_says_what_is_left_out_and_goes_on(bare, monkeypatch, capfd):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(bare, "apt-get", "echo 'E: Temporary failure resolving' >&2; exit 100")
    assert _debian.main() == 0
    said = capfd.readouterr().err
    assert "left out (apt-get update failed: E: Temporary failure resolving)" in said
    assert "boards" in said and "chips" in said and "apt-get install --no-install-recommends package-one package-two" in said


def test_who_is_not_root_is_told_the_command(bare, monkeypatch, capfd):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    script(bare, "apt-get", f"touch {bare}/called")
    assert _debian.main() == 0
    assert "only root may install packages" in capfd.readouterr().err and not (bare / "called").exists()


def test_every_tool_of_a_package_is_found_where_it_is_installed():
    """Guards the table against a program that its package does not hold."""
    for tool in _debian.TOOLS:
        if any(Path("/var/lib/dpkg/info").glob(f"{tool.package}[.:]*list")):
            assert tool.present, tool
