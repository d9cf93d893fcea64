"""Packages from anywhere: damaged ones, and hostile ones."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit import worker
from edgekit.errors import LoadError
from edgekit_runtimes._coreml import limits
from edgekit_runtimes._coreml.describe import read
from edgekit_runtimes._coreml.messages import messages
from edgekit_runtimes._coreml.package import open_package
from edgekit_runtimes._coreml.program import read_program
from edgekit_runtimes._coreml.testing import saved

PARTS = ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin")


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(0)

    def build(mb, x):
        weight = mb.constexpr_lut_to_dense(indices=rng.integers(0, 256, 80).astype("u1"), lut=rng.normal(size=16).astype("f4"),
                                           shape=np.array([10, 16], np.uint32), name="weight")  # fmt: skip
        return mb.linear(x=x, weight=weight, bias=np.ones(10, "f4"), name="y")

    return saved(build, {"x": (1, 16)}, "16")


@pytest.fixture
def package(whole, tmp_path):
    path = tmp_path / "model.mlpackage"
    shutil.copytree(whole, path)
    return path


@pytest.fixture(autouse=True)
def unbounded(monkeypatch):
    """Not to bound the memory of the process that runs the tests."""
    monkeypatch.setattr(limits, "_bound", lambda size: None)


def describe(path):
    return read({"model": str(path)}, {}, path.parent)[0]


def edited(package, change):
    """The package with its specification changed."""
    path = package / PARTS[1]
    specification = messages("Model_pb2").Model()
    specification.ParseFromString(path.read_bytes())
    change(specification)
    path.write_bytes(specification.SerializeToString())
    return package


def block(specification):
    function = specification.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def test_a_whole_package_is_described(package):
    found = describe(package)
    weight = next(t for t in found["tensors"] if t["name"] == "weight")
    assert (weight["shape"], weight["storage"]) == ([10, 16], "4-bit palette; 7.60 bits each")
    assert [op["name"] for op in found["ops"]] == ["linear"]
    assert found["facts"]["needs"].startswith("iOS 16")
    assert found["bytes"] == sum(p.stat().st_size for p in package.rglob("*") if p.is_file())
    json.dumps(found)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "..", "a/../../..", "C:\\x", "a\0b", "", "no such file", "com.apple.CoreML"]
)
def test_a_manifest_leads_nowhere_else(package, name):
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = name
    (package / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LoadError, match=r"model\.mlpackage"):
        open_package(package)


@pytest.mark.parametrize("name", ["@model_path/../../../../etc/passwd", "/etc/passwd", "weights/weight.bin", "@model_path/weights/no.bin"])
def test_values_come_from_no_other_file(package, name):
    def change(specification):
        for operation in block(specification).operations:
            for value in operation.attributes.values():
                if value.WhichOneof("value") == "blobFileValue":
                    value.blobFileValue.fileName = name

    with pytest.raises(LoadError):
        read_program(open_package(edited(package, change)))


def test_a_link_out_of_the_package_is_refused(package, tmp_path):
    (tmp_path / "elsewhere.bin").write_bytes((package / PARTS[2]).read_bytes())
    (package / PARTS[2]).unlink()
    (package / PARTS[2]).symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(LoadError, match="outside"):
        read_program(open_package(package))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"rootModelIdentifier": 3, "itemInfoEntries": {}}', b"\xff\xfe", b"[" * 100_000,
                                     b'{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": 7}}}'])  # fmt: skip
def test_a_manifest_that_is_none(package, content):
    (package / "Manifest.json").write_bytes(content)
    with pytest.raises(LoadError, match=r"Manifest\.json"):
        open_package(package)


def test_other_kinds_of_model_are_named(package):
    with pytest.raises(LoadError, match="neuralNetwork"):
        open_package(edited(package, lambda s: s.neuralNetwork.layers.add()))


def test_what_is_no_folder(tmp_path):
    with pytest.raises(LoadError, match="does not exist"):
        open_package(tmp_path / "model.mlpackage")
    (tmp_path / "model.mlpackage").write_bytes(b"PK")
    with pytest.raises(LoadError, match="is a file"):
        open_package(tmp_path / "model.mlpackage")


@pytest.mark.parametrize("part", PARTS)
def test_cut_files_are_refused(whole, tmp_path, part):
    content = (whole / part).read_bytes()
    for cut in np.linspace(0, len(content) - 70, 7).astype(int):
        path = tmp_path / f"{cut}" / "model.mlpackage"
        shutil.copytree(whole, path)
        (path / part).write_bytes(content[:cut])
        with pytest.raises(LoadError):
            describe(path)


def huge(specification):
    """A few bytes that claim to be a tensor of 2⁶⁰ values."""
    for operation in block(specification).operations:
        for port in operation.outputs:
            for dimension in port.type.tensorType.dimensions:
                dimension.constant.size = 1 << 60
        for value in operation.attributes.values():
            for dimension in value.type.tensorType.dimensions:
                dimension.constant.size = 1 << 60


def test_a_value_larger_than_its_file_is_refused(package):
    with pytest.raises(LoadError, match="need"):
        describe(edited(package, huge))


def test_a_palette_that_unpacks_to_terabytes_is_refused(package):
    def change(specification):
        for operation in block(specification).operations:
            if operation.type == "constexpr_lut_to_dense":
                shape = operation.attributes["shape"].immediateValue.tensor.bytes
                shape.values = np.array([1 << 20, 1 << 20], np.uint32).tobytes()

    with pytest.raises(LoadError):
        worker.run("edgekit_runtimes._coreml.describe:read", {"model": str(edited(package, change))})


def test_names_that_nothing_made(package):
    def change(specification):
        block(specification).operations[-1].inputs["x"].arguments[0].name = "nothing"

    session = edited(package, change)
    assert describe(session)["ops"]  # it can be listed, and not be run


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(PARTS), places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_bytes_are_wrong_is_described_or_refused(whole, tmp_path_factory, part, places):
    path = tmp_path_factory.mktemp("fuzz") / "model.mlpackage"
    shutil.copytree(whole, path)
    content = bytearray((path / part).read_bytes())
    for place, value in places:
        content[place % len(content)] = value
    (path / part).write_bytes(bytes(content))
    try:
        json.dumps(describe(path))
    except LoadError as error:
        assert error.message
    finally:
        shutil.rmtree(path.parent)
