"""An artifact: the folder a conversion hands over, and the manifest that says what is in it.

    model.tflite      the model (named by the manifest)
    manifest.json     schema "edgekit.artifact/1": what it is, how it was made, what was proved about it
    recipe.toml       the recipe, readable by `Recipe.from_toml`
    golden.npz        some inputs and the float graph's outputs on them

The same input and the same versions give the same bytes: no times, no absolute paths.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgekit import digests, documents, schemas, staging
from edgekit.errors import EdgekitError, UsageError
from edgekit.gains import Gains
from edgekit.plugins import EmittedOp
from edgekit.sizes import OpenSize
from edgekit.source import Source
from edgekit.tensors import TensorSpec

SCHEMA = "edgekit.artifact/1"
MANIFEST = "manifest.json"
RECIPE = "recipe.toml"
GOLDEN = "golden.npz"
_AGAIN = "copy the whole folder again, or convert again"


@dataclass(frozen=True)
class FileRecord:
    """What a file of the folder must be: its sha256 in hex, and its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What is in an artifact.

    Attributes:
        target: The device class it was made for.
        format: Name of the converter that wrote it.
        model_file: Name of the model file in the folder.
        source: The model it was made from.
        inputs: As the model file has them: names, shapes (batch first), dtypes, grids.
        outputs: The same.
        recipe: The recipe's name.
        ops: Operators of the model file, in execution order.
        batch: The batch size frozen into the file.
        batches: The smallest, the usual and the largest batch of a file that takes any between, or None.
        emitter: Who wrote the file: ``edgekit``, or ``vendor`` for the vendor's own converter.
        preprocess: By input name, how raw data becomes a model input (the JSON form of a `Preprocess`), or None.
        labels: Class labels, or None.
        description: The user's, or None.
        author: Who made the model, or None.
        licence: Under which terms it may be used, or None.
        version: The model's own version, or None.
        compute: What the file's float operators compute in.
        requires: What the device must have at least: ``{"iOS": "17"}``.
        build: The command to be run on the device, in the folder, to make what it loads; empty where it loads the model file itself.
        images: By input name, the preprocessing that moved into the file, which takes pixels there (the JSON form of a `Preprocess`),
            or None.
        notes: Concessions, one sentence each.
        tools: Package to version.
        files: Every file of the folder but the manifest, by relative POSIX path.
        evidence: The last verdict's JSON, or None.
        open_sizes: Sizes of the inputs that an application chooses; `inputs` and `outputs` have the typical ones.
        gains: What the recipe's pruning gained (the JSON form of an `edgekit.gains.Gains`), or None for a recipe that prunes nothing.
    """

    target: str
    format: str
    model_file: str
    source: Source
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    recipe: str
    ops: tuple[EmittedOp, ...]
    batch: int = 1
    batches: tuple[int, int, int] | None = None
    emitter: str = "edgekit"
    preprocess: Mapping[str, Any] | None = None
    labels: tuple[str, ...] | None = None
    description: str | None = None
    author: str | None = None
    licence: str | None = None
    version: str | None = None
    compute: str = "float32"
    requires: Mapping[str, str] = field(default_factory=dict)
    build: tuple[str, ...] = ()
    images: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    evidence: Mapping[str, Any] | None = None
    open_sizes: tuple[OpenSize, ...] = ()
    gains: Mapping[str, Any] | None = None

    @property
    def model_sha256(self) -> str:
        """Digest of the model, hex; of a model that is a folder, the digest of its files' names and digests, a line each."""
        if self.model_file in self.files:
            return self.files[self.model_file].sha256
        inside = {name: record.sha256 for name, record in self.files.items() if name.startswith(f"{self.model_file}/")}
        return digests.of_files(inside)

    def to_json(self) -> dict[str, Any]:
        """The document, valid under ``schemas/artifact-1.json``."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "format": self.format,
            "model_file": self.model_file,
            "source": vars(self.source),
            "batch": self.batch,
            "batches": None if self.batches is None else list(self.batches),
            "emitter": self.emitter,
            "inputs": [s.to_json() for s in self.inputs],
            "outputs": [s.to_json() for s in self.outputs],
            "preprocess": dict(self.preprocess) if self.preprocess is not None else None,
            "labels": list(self.labels) if self.labels is not None else None,
            "description": self.description,
            "author": self.author,
            "licence": self.licence,
            "version": self.version,
            "compute": self.compute,
            "requires": dict(self.requires),
            "build": list(self.build),
            "images": dict(self.images) if self.images is not None else None,
            "recipe": self.recipe,
            "ops": [{"name": op.name, "module": op.module, "dtype": op.dtype} for op in self.ops],
            "notes": list(self.notes),
            "tools": dict(sorted(self.tools.items())),
            "files": {name: vars(record) for name, record in sorted(self.files.items())},
            "evidence": dict(self.evidence) if self.evidence is not None else None,
            "open_sizes": [o.to_json() for o in self.open_sizes],
            "gains": dict(self.gains) if self.gains is not None else None,
        }

    @classmethod
    def from_json(cls, data: Any, origin: str = MANIFEST) -> Manifest:
        """Inverse of `to_json`.

        Raises:
            UsageError: Another schema version, or not a manifest.
        """
        version = data.get("schema") if isinstance(data, dict) else None
        if version != SCHEMA:
            raise UsageError(f"{origin} has schema {version!r}", accepted=SCHEMA, next_step="convert again with this version of edgekit")
        schemas.validate(data, "artifact-1", origin)
        values = {k: v for k, v in data.items() if k != "schema"}
        return cls(
            **values
            | {
                "source": Source(**data["source"]),
                "inputs": tuple(TensorSpec.from_json(s) for s in data["inputs"]),
                "outputs": tuple(TensorSpec.from_json(s) for s in data["outputs"]),
                "labels": tuple(data["labels"]) if data["labels"] is not None else None,
                "ops": tuple(EmittedOp(**op) for op in data["ops"]),
                "notes": tuple(data["notes"]),
                "build": tuple(data.get("build", ())),
                "batches": tuple(data["batches"]) if data.get("batches") else None,
                "open_sizes": tuple(OpenSize.from_json(o) for o in data.get("open_sizes", ())),
                "files": {name: FileRecord(**record) for name, record in data["files"].items()},
            }
        )

    def to_bytes(self) -> bytes:
        """The file's content."""
        return documents.json_bytes(self.to_json())


@dataclass(frozen=True)
class Artifact:
    """A folder that was checked against its manifest.

    Attributes:
        path: The folder.
        manifest: What is in it.
    """

    path: Path
    manifest: Manifest = field(repr=False)

    @property
    def model_file(self) -> Path:
        """The model."""
        return self.path / self.manifest.model_file

    @property
    def model_bytes(self) -> int:
        """Size of the model, all its files together where it is a folder."""
        name = self.manifest.model_file
        return sum(record.bytes for path, record in self.manifest.files.items() if path == name or path.startswith(f"{name}/"))

    @property
    def recipe_text(self) -> str:
        """The recipe as TOML."""
        return (self.path / RECIPE).read_text(encoding="utf-8")

    def golden(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Inputs of shape (samples, *input shape without batch) and the float graph's outputs on them, by name.

        Raises:
            UsageError: The artifact has none, or the file is damaged.
        """
        try:
            with np.load(self.path / GOLDEN, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise UsageError(f"{self.path / GOLDEN} cannot be read: {error}", next_step="convert again") from None
        sides = ("inputs", "outputs")
        inputs, outputs = ({k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(side + "/")} for side in sides)
        return inputs, outputs

    @classmethod
    def load(cls, path: str | Path) -> Artifact:
        """Open an artifact folder and check every file against the manifest.

        Raises:
            UsageError: Not an artifact, of another schema version, or a file is missing, truncated or altered.
        """
        folder = Path(path)
        manifest = _read_manifest(folder)
        for name, record in manifest.files.items():
            _check_file(folder, name, record)
        _check_model(folder, manifest)
        return cls(folder, manifest)

    def with_evidence(self, evidence: Mapping[str, Any]) -> Artifact:
        """Write a verdict into the manifest, in one step; return the artifact that has it."""
        return self._with(replace(self.manifest, evidence=evidence))

    def with_gains(self, gains: Gains) -> Artifact:
        """Write what was gained into the manifest, in one step; return the artifact that has it."""
        return self._with(replace(self.manifest, gains=gains.to_json()))

    def _with(self, manifest: Manifest) -> Artifact:
        staging.write_file(self.path / MANIFEST, manifest.to_bytes())
        return Artifact(self.path, manifest)


@contextmanager
def creating(destination: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill and `seal`; it becomes `destination` when the block ends well.

    Raises:
        UsageError: The destination exists (`overwrite` replaces artifacts only), cannot be written, is being
            written by another run, or the disk is full.
    """
    with staging.new_folder(Path(destination), replaceable=_is_artifact if overwrite else None) as folder:
        yield folder


def seal(folder: Path, manifest: Manifest) -> None:
    """Record every file of `folder` in the manifest and write it."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    files = {p.relative_to(folder).as_posix(): FileRecord(digests.of_file(p), p.stat().st_size) for p in paths}
    (folder / MANIFEST).write_bytes(replace(manifest, files=files).to_bytes())


def write_golden(folder: Path, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    """Write ``golden.npz``; equal arrays give equal bytes."""
    arrays = {f"inputs/{k}": v for k, v in inputs.items()} | {f"outputs/{k}": v for k, v in outputs.items()}
    with (folder / GOLDEN).open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _is_artifact(path: Path) -> bool:
    """Whether a folder may be replaced: it is an artifact, be its files damaged or not. A link is not."""
    if path.is_symlink() or not path.is_dir():
        return False
    try:
        _read_manifest(path)
    except EdgekitError:
        return False
    return True


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.exists():
        raise UsageError(f"{folder} is not an artifact: it has no {MANIFEST}", accepted="a folder made by `edgekit convert`")
    return Manifest.from_json(documents.read_json(path, next_step="convert again"), str(path))


def _check_file(folder: Path, name: str, record: FileRecord) -> None:
    pure = PurePosixPath(name)
    inside = (
        name not in ("", ".")
        and not pure.is_absolute()
        and ".." not in pure.parts
        and "\\" not in name
        and ":" not in name
        and "\0" not in name
    )
    if not inside or str(pure) != name:
        raise UsageError(f"{folder / MANIFEST} names {name!r}, which is not a plain path inside the artifact")
    path = folder / name
    links = [p for p in (path, *path.parents) if folder in p.parents and p.is_symlink()]
    if links:
        raise UsageError(f"{path} goes through a symbolic link, which an artifact may not")
    if not path.is_file():
        raise UsageError(f"{folder} lacks the file {name!r} that its manifest lists", next_step=_AGAIN)
    size = path.stat().st_size
    if size != record.bytes:
        raise UsageError(f"{path} has {size} bytes, its manifest says {record.bytes}", next_step=_AGAIN)
    if digests.of_file(path) != record.sha256:
        raise UsageError(f"{path} was altered: its sha256 is not the manifest's", next_step=_AGAIN)


def _check_model(folder: Path, manifest: Manifest) -> None:
    """A model that is a folder holds what the manifest lists and nothing else, or a reader would take it for another model."""
    name = manifest.model_file
    inside = {file for file in manifest.files if file.startswith(f"{name}/")}
    if name not in manifest.files and not inside:
        raise UsageError(f"{folder / MANIFEST} does not list its model file {name!r}", accepted=list(manifest.files))
    found = {p.relative_to(folder).as_posix() for p in (folder / name).rglob("*") if inside and not p.is_dir()}
    if stray := sorted(found - inside):
        raise UsageError(f"{folder / stray[0]} is part of the model, but its manifest does not list it", next_step=_AGAIN)
