import io
import tarfile

import numpy as np
import pytest
import zstandard

from edgekit.artifact import Artifact
from edgekit.errors import UsageError
from edgekit.packing import SUFFIX, container, pack, unpack
from edgekit.packing.container import encode
from edgekit.packing.members import Members
from edgekit.testing.packs import clustered_weights, int8_weights, text


@pytest.fixture
def package(tmp_path):
    """A folder as Core ML's are."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "net.mlpackage"
    (folder / "Data" / "weights").mkdir(parents=True)
    (folder / "Manifest.json").write_bytes(text(600))
    (folder / "Data" / "model.mlmodel").write_bytes(text(4000))
    (folder / "Data" / "weights" / "weight.bin").write_bytes(int8_weights(9000, rng) + clustered_weights(5000, rng, 0.1))
    (folder / "Data" / "empty").write_bytes(b"")
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tar_zst(folder):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(folder, arcname=folder.name)
    return len(zstandard.ZstdCompressor(level=19).compress(file.getvalue()))


def test_a_folder_comes_back_byte_for_byte(package, tmp_path):
    packed = pack(package)
    assert packed.path == tmp_path / f"net.mlpackage{SUFFIX}"
    assert packed.bytes == packed.path.stat().st_size
    assert packed.plain_bytes == sum(map(len, contents(package).values()))
    assert contents(unpack(packed.path, tmp_path / "again")) == contents(package)


def test_the_same_folder_gives_the_same_pack(package, tmp_path):
    assert pack(package).path.read_bytes() == pack(package, tmp_path / "again").path.read_bytes()


@pytest.mark.parametrize("weights", ["int8", "sparse", "clustered", "floats", "noise", "text", "nothing"])
def test_a_folder_is_never_larger_than_its_tar_in_zstandard(weights, package):
    rng = np.random.default_rng(1)
    made = {
        "int8": int8_weights(20_000, rng),
        "sparse": int8_weights(20_000, rng, 0.1),
        "clustered": clustered_weights(10_000, rng),
        "floats": rng.normal(size=10_000).astype(np.float32).tobytes(),
        "noise": rng.bytes(20_000),
        "text": text(20_000),
        "nothing": b"",
    }
    (package / "Data" / "weights" / "weight.bin").write_bytes(made[weights])
    assert pack(package).bytes <= tar_zst(package)


def test_a_single_file_comes_back(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(int8_weights(3000, np.random.default_rng(0), 0.1))
    packed = pack(model)
    with pytest.raises(UsageError, match="exists already"):
        unpack(packed.path)
    before = model.read_bytes()
    model.unlink()
    assert unpack(packed.path) == model
    assert model.read_bytes() == before
    assert unpack(packed.path, tmp_path / "new" / "m.tflite").read_bytes() == before


def test_what_is_there_is_not_overwritten_unasked(package, tmp_path):
    packed = pack(package)
    with pytest.raises(UsageError, match="exists already"):
        pack(package)
    assert pack(package, overwrite=True).digest == packed.digest
    with pytest.raises(UsageError, match="exists already"):
        unpack(packed.path)
    with pytest.raises(UsageError, match="no artifact"):
        unpack(packed.path, overwrite=True)


def test_the_digest_says_which_content_is_wanted(package, tmp_path):
    packed = pack(package)
    unpack(packed.path, tmp_path / "a", digest=packed.digest.upper())
    with pytest.raises(UsageError, match="other content"):
        unpack(packed.path, tmp_path / "b", digest="0" * 64)
    assert not (tmp_path / "b").exists()


def test_an_altered_artifact_is_not_packed(package):
    (package / "manifest.json").write_text('{"schema": "edgekit.artifact/1"}')
    with pytest.raises(UsageError, match="manifest"):
        pack(package)


def test_sources_that_cannot_be_packed_are_refused(package, tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        pack(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is empty"):
        pack(tmp_path / "empty")
    (package / "link").symlink_to("Manifest.json")
    with pytest.raises(UsageError, match="symbolic link"):
        pack(package)


def test_a_pack_of_another_name_needs_a_destination(package, tmp_path):
    pack(package, tmp_path / "download.bin")
    with pytest.raises(UsageError, match="--out"):
        unpack(tmp_path / "download.bin")


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "a/../../outside"])
def test_a_hostile_pack_writes_nothing_outside_of_its_folder(path, tmp_path):
    index = bytes([0]) + container.varint(1) + container.varint(len(path)) + path.encode() + container.varint(4)
    (tmp_path / "evil.ekpack").write_bytes(encode(index + b"evil", [0]).data)
    with pytest.raises(UsageError, match="no plain path"):
        unpack(tmp_path / "evil.ekpack", tmp_path / "folder" / "inner")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.ekpack"]


def test_files_that_stand_in_each_others_way_are_an_error_and_leave_nothing(tmp_path):
    plain, starts = Members(False, {"a": b"1", "a/b": b"2"}).encode()
    (tmp_path / "evil.ekpack").write_bytes(encode(plain, starts).data)
    with pytest.raises(UsageError):
        unpack(tmp_path / "evil.ekpack")
    assert not (tmp_path / "evil").exists()


def test_content_that_is_too_large_is_refused(package, tmp_path):
    packed = pack(package)
    with pytest.raises(UsageError, match="up to 1,000"):
        unpack(packed.path, tmp_path / "again", limit=1000)


def test_a_converted_model_is_an_artifact_again(tmp_path):
    torch = pytest.importorskip("torch")
    import edgekit
    from edgekit.testing.fake_target import fake_target

    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)).eval()
    data = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    made = edgekit.convert(model, fake_target(), example_inputs=torch.zeros(1, 8), calibration=data, out=tmp_path / "made")
    again = Artifact.load(unpack(pack(made.path).path, tmp_path / "again"))
    assert again.manifest == made.manifest
    assert contents(again.path) == contents(made.path)
