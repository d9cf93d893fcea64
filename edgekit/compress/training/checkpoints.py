"""The state of a training in a file, so that what was interrupted goes on where it was.

One safetensors file a training: its tensors, and its numbers as JSON in the header under ``training``. The name holds a digest of the
graph, the data and the options: a file is never taken for that of another training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.staging import write_file

SCHEMA = "edgekit.training/1"


@dataclass(frozen=True)
class Checkpoint:
    """A state that a training can go on from.

    Attributes:
        tensors: By name.
        numbers: What else there is to know, as JSON values.
    """

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Replace the file in one step.

        Raises:
            UsageError: It cannot be written, or the disk is full.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.tensors.items()}
        write_file(path, save(tensors, {"training": json.dumps({"schema": SCHEMA, **self.numbers})}))

    @classmethod
    def read(cls, path: Path) -> Checkpoint | None:
        """The state in the file; None where there is none.

        Raises:
            UsageError: The file is damaged, or none of these.
        """
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                numbers = json.loads((file.metadata() or {})["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise UsageError(f"{path} is no state of a training: {error}", next_step="delete it to start anew") from None
        if numbers.pop("schema", None) != SCHEMA:
            raise UsageError(f"{path} is of another version", accepted=SCHEMA, next_step="delete it to start anew")
        return cls(tensors, numbers)


def digest(graphs: Iterable[Graph], tensors: Iterable[Tensor | None], options: object) -> str:
    """What identifies a training, 16 hexadecimal digits."""
    found = hashlib.sha256(repr(options).encode())
    for graph in graphs:
        found.update(str([(n.name, str(n.target), str(n.args), str(n.kwargs)) for n in graph.nodes]).encode())
        for name, tensor in sorted(graph.module.state_dict().items()):
            found.update(name.encode())
            found.update(_bytes(tensor))
    for given in tensors:
        found.update(b"none" if given is None else _bytes(given))
    return found.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return str((plain.dtype, tuple(plain.shape))).encode() + plain.flatten().view(torch.uint8).numpy().tobytes()
