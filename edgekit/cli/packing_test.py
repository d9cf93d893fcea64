"""`edgekit pack` and `edgekit unpack`: what they print, and how they end."""

import json

import pytest

from edgekit.cli import main
from edgekit.packing import DECODER
from edgekit.testing.packs import text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.bin").write_bytes(text(4000))
    return tmp_path / "net"


def test_a_folder_goes_there_and_back(folder, tmp_path, capfd):
    assert main(["pack", "net"]) == 0
    shown = capfd.readouterr().out
    size = (tmp_path / "net.ekpack").stat().st_size
    assert f"net.ekpack, {size:,} bytes: {4000 / size:.2f} times smaller" in shown
    assert "1 file, 4,000 bytes" in shown and "sha256" in shown
    assert main(["unpack", "net.ekpack", "--out", "again"]) == 0
    assert "again" in capfd.readouterr().out
    assert (tmp_path / "again" / "model.bin").read_bytes() == text(4000)


def test_json_says_the_same(folder, tmp_path, capfd):
    assert main(["pack", "net", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "edgekit.pack/1"
    assert document["files"] == {"model.bin": 4000} and document["plain_bytes"] == 4000
    assert document["bytes"] == (tmp_path / document["path"]).stat().st_size
    assert main(["unpack", document["path"], "--out", "again", "--sha256", document["sha256"], "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"schema": "edgekit.unpack/1", "path": "again"}


def test_the_decoder_is_written_where_it_is_wanted(folder, tmp_path):
    assert main(["pack", "net", "--portable", "--decoder", "unpack.c"]) == 0
    assert (tmp_path / "unpack.c").read_bytes() == DECODER.read_bytes()


def test_the_folder_one_stands_in_is_packed_beside_itself(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["pack", "."]) == 0
    assert (tmp_path / "net.ekpack").is_file()


def test_what_exists_is_kept_unless_forced(folder, capfd):
    assert main(["pack", "net"]) == 0
    assert main(["pack", "net"]) == 2
    assert "--force" in capfd.readouterr().err
    assert main(["pack", "net", "--force"]) == 0


def test_a_damaged_pack_is_an_error_that_says_so(folder, tmp_path, capfd):
    assert main(["pack", "net"]) == 0
    pack = tmp_path / "net.ekpack"
    pack.write_bytes(pack.read_bytes()[:-1])
    assert main(["unpack", "net.ekpack", "--out", "again"]) == 2
    assert "damaged" in capfd.readouterr().err
    assert not (tmp_path / "again").exists()


def test_too_much_content_is_refused_with_the_option_that_allows_it(folder, capfd):
    assert main(["pack", "net"]) == 0
    assert main(["unpack", "net.ekpack", "--out", "again", "--limit", "100"]) == 2
    assert "--limit" in capfd.readouterr().err
