"""Opening a ``.mlpackage``: a folder with a manifest, a model specification and a weight file. It may come from anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgekit.errors import LoadError
from edgekit_runtimes._coreml.messages import messages

SUFFIX = ".mlpackage"
_MODEL_PATH = "@model_path/"
_LARGEST_SPECIFICATION = 1 << 31  # protobuf's own limit
_WHOLE = "a whole .mlpackage folder, as Core ML tools save it"


@dataclass(frozen=True)
class Package:
    """An opened package.

    Attributes:
        path: The folder.
        specification: Its ``Model`` message, an ML Program.
        model: Path of the specification's file; weight files are named relative to its folder.
    """

    path: Path
    specification: Any
    model: Path

    def weight_file(self, name: str) -> Path:
        """The file that a value refers to as ``@model_path/weights/weight.bin``.

        Raises:
            LoadError: It is outside of the package, or not there.
        """
        if not name.startswith(_MODEL_PATH):
            raise LoadError(f"{self.path.name} refers to the weight file {name!r}", accepted=f"{_MODEL_PATH}…")
        return inside(self.path, self.model.parent, name.removeprefix(_MODEL_PATH))

    def files(self) -> list[Path]:
        """Every file of the package, in the order of their names."""
        return sorted(p for p in self.path.rglob("*") if p.is_file())


def open_package(path: Path) -> Package:
    """Read manifest and specification.

    Raises:
        LoadError: Not a package, a damaged one, one that points outside of itself, or a model that is no ML Program.
    """
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise LoadError(f"{path.name} is not a Core ML package: it {what}", accepted=_WHOLE)
    model = inside(path, path / "Data", _root_item(path))
    if model.stat().st_size > _LARGEST_SPECIFICATION:
        raise LoadError(f"{path.name}: {model.name} has {model.stat().st_size:,} bytes", accepted=f"at most {_LARGEST_SPECIFICATION:,}")
    specification = messages("Model_pb2").Model()
    try:
        specification.ParseFromString(model.read_bytes())
    except Exception as error:  # protobuf's own error classes differ between its implementations
        raise LoadError(f"{path.name}: {model.name} is not a Core ML specification: {error}", accepted=_WHOLE) from None
    if (kind := specification.WhichOneof("Type")) != "mlProgram":
        raise LoadError(f"{path.name} holds a model of type {kind or 'none'}", accepted="mlProgram, which iOS 15 and later use")
    return Package(path, specification, model)


def _root_item(path: Path) -> str:
    """Path of the model below ``Data``, as the manifest has it."""
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or str(error)
        raise LoadError(f"{path.name}: Manifest.json cannot be read: {reason}", accepted=_WHOLE) from None
    if not isinstance(item, str):
        raise LoadError(f"{path.name}: Manifest.json gives the model's path as {item!r}", accepted=_WHOLE)
    return item


def inside(package: Path, folder: Path, name: str) -> Path:
    """A file named relative to a folder of the package.

    Raises:
        LoadError: The name leads out of the package, or there is no such file.
    """
    pure = PurePosixPath(name)
    if "\0" in name or "\\" in name or pure.is_absolute() or ".." in pure.parts:
        raise LoadError(f"{package.name} names the file {name!r}", accepted="a path inside of the package")
    try:
        found = (folder / pure).resolve()
        regular = found.is_file()
    except OSError as error:
        raise LoadError(f"{package.name} names a file that cannot be opened: {error.strerror}", accepted=_WHOLE) from None
    if not found.is_relative_to(package.resolve()):
        raise LoadError(f"{package.name} names {name!r}, a link to a file outside of it", accepted="a path inside of the package")
    if not regular:
        raise LoadError(f"{package.name} has no file {name!r}", accepted=_WHOLE)
    return found
