"""What an engine was built for, and whether a device may load it.

An engine holds kernels chosen by timing on one GPU, serialized by one version of TensorRT: on another it fails to load, or
computes wrong, or runs slower than it should. So an engine is stamped where it is built, and refused everywhere else.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceUnavailable, LoadError

SCHEMA = "edgekit.engine/1"
_LARGEST = 1 << 16
_WORDS = {
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "multiprocessors": "number of streaming multiprocessors",
    "tensorrt": "TensorRT version",
}


@dataclass(frozen=True)
class Stamp:
    """Where an engine was built, and of what.

    Attributes:
        gpu: Its name (``Orin``).
        compute_capability: ``8.7``.
        multiprocessors: Streaming multiprocessors (8 on an Orin Nano, 16 on an AGX Orin): kernels are chosen for their number.
        tensorrt: Full version (``10.3.0``).
        model_sha256: Digest of the ONNX file, hex.
    """

    gpu: str
    compute_capability: str
    multiprocessors: int
    tensorrt: str
    model_sha256: str

    def to_bytes(self) -> bytes:
        """The content of the stamp's file."""
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n").encode()

    @classmethod
    def load(cls, path: Path) -> Stamp:
        """Read a stamp.

        Raises:
            LoadError: There is none, or it is damaged.
        """
        try:
            content = path.read_bytes()[: _LARGEST + 1]
            data: Any = json.loads(content) if len(content) <= _LARGEST else None
        except OSError:
            what = f"there is no stamp {path.name} beside the engine, so nobody knows what it was built for"
            raise LoadError(what, next_step=REBUILD) from None
        except (ValueError, RecursionError):
            data = None
        kinds = {f.name: int if f.name == "multiprocessors" else str for f in fields(cls)}
        right = isinstance(data, dict) and data.get("schema") == SCHEMA and set(data) == {"schema", *kinds}
        if not right or any(type(data[name]) is not kind for name, kind in kinds.items()):
            raise LoadError(f"{path.name} is no stamp of an engine", accepted=f"a document of schema {SCHEMA}", next_step=REBUILD)
        return cls(**{name: data[name] for name in kinds})


REBUILD = "build the engine on this device: ./build_engine.sh"


def stamp_path(engine: Path) -> Path:
    """Where an engine's stamp lies: ``model.engine.json`` beside ``model.engine``."""
    return engine.with_name(f"{engine.name}.json")


def require_loadable(engine: Path, device: Stamp) -> Stamp:
    """The stamp of an engine that `device` may load.

    Args:
        engine: The engine's file.
        device: What the device is, with the digest of the model that is to run.

    Raises:
        LoadError: The engine or its stamp is missing or damaged, or it was built of another model.
        DeviceUnavailable: It was built for another GPU or another version of TensorRT.
    """
    if not engine.is_file():
        raise LoadError(f"there is no engine at {engine}", next_step=REBUILD)
    stamp = Stamp.load(stamp_path(engine))
    if stamp.model_sha256 != device.model_sha256:
        raise LoadError(f"{engine.name} was built of another model (sha256 {stamp.model_sha256[:12]}…)", next_step=REBUILD)
    for name, words in _WORDS.items():
        built, here = getattr(stamp, name), getattr(device, name)
        if built != here:
            raise DeviceUnavailable(
                f"{engine.name} was built for the {words} {built}, and this device has {here}",
                accepted=f"{words} {built}",
                next_step=REBUILD,
            )
    return stamp
