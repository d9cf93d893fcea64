"""An artifact is checked against its manifest when opened, and equal inputs make equal bytes."""

import json
import os

import jsonschema
import numpy as np
import pytest

from edgekit import schemas
from edgekit.artifact import Artifact, Manifest, creating, seal, write_golden
from edgekit.errors import UsageError
from edgekit.plugins import EmittedOp
from edgekit.source import Source
from edgekit.tensors import Grid, TensorSpec

MANIFEST = Manifest(
    target="android",
    format="fake",
    model_file="m.bin",
    source=Source("pytorch", "Net", "0" * 64),
    inputs=(TensorSpec("x", (1, 3), "int8", Grid("int8", (0.5,), (3,))),),
    outputs=(TensorSpec("y", (1, 2), "float32"),),
    recipe="int8",
    ops=(EmittedOp("CONV_2D", "a.b", "int8"),),
    labels=("cat", "dög"),
    notes=("batch fixed to 1",),
    tools={"edgekit": "1", "torch": "2"},
)


def make(path, content=b"model", **options):
    with creating(path, **options) as folder:
        (folder / "m.bin").write_bytes(content)
        (folder / "recipe.toml").write_text('schema = "edgekit.recipe/1"\nname = "int8"\n')
        write_golden(folder, {"x": np.arange(6.0).reshape(2, 3)}, {"y": np.ones((2, 2), np.float32)})
        seal(folder, MANIFEST)
    return Artifact.load(path)


def edit(artifact, change):
    path = artifact.path / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_round_trip(tmp_path):
    made = make(tmp_path / "a")
    assert made.model_file.read_bytes() == b"model"
    assert set(made.manifest.files) == {"m.bin", "recipe.toml", "golden.npz"}
    assert Manifest.from_json(json.loads(made.manifest.to_bytes())) == made.manifest
    assert made.manifest.labels == ("cat", "dög")
    inputs, outputs = made.golden()
    assert inputs["x"].shape == (2, 3)
    assert outputs["y"].shape == (2, 2)


def test_the_manifest_is_valid_under_its_published_schema(tmp_path):
    made = make(tmp_path / "a")
    jsonschema.validate(json.loads((made.path / "manifest.json").read_text()), schemas.schema("artifact-1"))


def test_equal_inputs_make_equal_bytes(tmp_path):
    first, second = make(tmp_path / "a"), make(tmp_path / "elsewhere" / "b")
    assert {p.name: p.read_bytes() for p in first.path.iterdir()} == {p.name: p.read_bytes() for p in second.path.iterdir()}


def test_evidence_is_written_in_place(tmp_path):
    made = make(tmp_path / "a").with_evidence({"schema": "edgekit.verdict/1"})
    assert Artifact.load(made.path) == made
    assert made.manifest.evidence == {"schema": "edgekit.verdict/1"}


def test_overwriting_is_for_artifacts_only(tmp_path):
    made = make(tmp_path / "a")
    with pytest.raises(UsageError, match="--force"):
        make(tmp_path / "a", b"new")
    assert make(tmp_path / "a", b"new", overwrite=True).model_file.read_bytes() == b"new"
    (made.path / "manifest.json").unlink()
    with pytest.raises(UsageError, match="no artifact"):
        make(tmp_path / "a", overwrite=True)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda a: (a.path / "m.bin").unlink(), "lacks the file 'm.bin'"),
        (lambda a: (a.path / "m.bin").write_bytes(b"mod"), "has 3 bytes"),
        (lambda a: (a.path / "m.bin").write_bytes(b"muddl"), "sha256"),
        (lambda a: (a.path / "manifest.json").unlink(), "not an artifact"),
        (lambda a: (a.path / "manifest.json").write_text("{"), "not valid JSON"),
        (lambda a: (a.path / "manifest.json").write_text("[" * 100_000), "not valid JSON"),
        (lambda a: (a.path / "manifest.json").write_bytes(b"\xff\xfe"), "cannot read"),
        (lambda a: (a.path / "manifest.json").write_text("[]"), "schema None"),
        (lambda a: edit(a, lambda d: d.update(schema="edgekit.artifact/2")), "schema 'edgekit.artifact/2'"),
        (lambda a: edit(a, lambda d: d.update(ops=3)), "malformed at ops"),
        (lambda a: edit(a, lambda d: d.pop("files")), "'files' is missing"),
        (lambda a: edit(a, lambda d: d["inputs"][0]["grid"].update(scale=[float("nan")])), "NaN is no JSON"),
        (lambda a: edit(a, lambda d: d.update(model_file="other.bin")), "does not list its model file"),
    ],
)
def test_a_damaged_artifact_is_refused_with_the_reason(tmp_path, harm, message):
    made = make(tmp_path / "a")
    harm(made)
    with pytest.raises(UsageError, match=message):
        Artifact.load(made.path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "..\\outside", "C:outside", "", ".", "a//b", "x\0y"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    made = make(tmp_path / "a")
    (tmp_path / "outside").write_bytes(b"secret")
    edit(made, lambda d: d["files"].update({name: {"sha256": "0" * 64, "bytes": 6}}))
    with pytest.raises(UsageError, match="not a plain path"):
        Artifact.load(made.path)


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_links_out_of_the_folder_are_refused(tmp_path):
    made = make(tmp_path / "a")
    (tmp_path / "outside").write_bytes(b"model")
    (made.path / "m.bin").unlink()
    (made.path / "m.bin").symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="symbolic link"):
        Artifact.load(made.path)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UsageError, match="not an artifact"):
        Artifact.load(tmp_path / "nowhere")


def test_damaged_golden_data_is_told(tmp_path):
    made = make(tmp_path / "a")
    whole = (made.path / "golden.npz").read_bytes()
    for damaged in (b"", b"PK\3\4", whole[: len(whole) // 2], whole[:-30]):
        (made.path / "golden.npz").write_bytes(damaged)
        with pytest.raises(UsageError, match="cannot be read"):
            made.golden()
