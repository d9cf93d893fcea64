"""Files and folders of data."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data.rows import Row
from edgekit.errors import DataError
from edgekit.plugins import require
from edgekit.progress import track
from edgekit.tensors import TensorSpec

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def is_array(data: Any) -> bool:
    """Whether `data` is one array (numpy's, torch's, anything that says how to become one)."""
    return isinstance(data, np.ndarray) or (hasattr(data, "__array__") and hasattr(data, "shape"))


def read_numpy(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` by their names, or that of a ``.npy`` as ``x``.

    Raises:
        DataError: Missing, truncated, of another kind, or with pickled objects, which could run code.
    """
    if path.suffix not in (".npz", ".npy"):
        state = "is no kind of data edgekit reads" if path.exists() else "does not exist"
        raise DataError(f"{path} {state}", accepted="a .npz or .npy file, or a folder of images")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"x": loaded}
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        pickled = "pickle" in str(error) or "Object arrays" in str(error)
        reason = "it is damaged, or holds Python objects, which could run code" if pickled else f"it is damaged ({error})"
        raise DataError(
            f"{path} cannot be read: {reason}", accepted="plain arrays", next_step="write it again with np.savez(path, x=..., y=...)"
        ) from None


def read_images(folder: Path, inputs: Sequence[TensorSpec], limit: int | None) -> tuple[Iterator[Row], tuple[str, ...] | None]:
    """The images of a folder, decoded one at a time as uint8 (height, width, channels), and the classes if it has subfolders.

    Classes take turns, so that the first images are of all of them.

    Raises:
        DataError: No images, an image that cannot be decoded, or a model with several inputs.
    """
    require("PIL", "images")
    if len(inputs) != 1:
        raise DataError(f"a folder of images feeds one input, the model has {len(inputs)}", accepted="a .npz or a dict with all inputs")
    by_class = {d.name: found for d in sorted(folder.iterdir()) if d.is_dir() and (found := _images(d))}
    plain = _images(folder)
    if not by_class and not plain:
        raise DataError(f"{folder} holds no images", accepted=IMAGE_SUFFIXES)
    if by_class and plain:
        raise DataError(f"{folder} holds images both loose and in subfolders", accepted="subfolders by class, or images alone")
    turns = itertools.zip_longest(*([(f, i) for f in files] for i, files in enumerate(by_class.values())))
    files = [pair for turn in turns for pair in turn if pair is not None] if by_class else [(f, None) for f in plain]
    rows = (Row({inputs[0].name: _decoded(path, inputs[0])}, label) for path, label in track("reading images", files[:limit]))
    return rows, tuple(by_class) or None


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _decoded(path: Path, spec: TensorSpec) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (an optional extra)

    gray = len(spec.shape) == 4 and 1 in (spec.shape[1], spec.shape[3]) and 3 not in (spec.shape[1], spec.shape[3])
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if gray else "RGB"))
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded: {error}", next_step="replace it, or move it out of the folder") from None
    return pixels[..., None] if gray else pixels
