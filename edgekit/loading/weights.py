"""State dicts, read without running code, into a module for the time of its trace."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import LoadError

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@contextmanager
def load_weights(model: nn.Module, path: str | Path | None) -> Iterator[None]:
    """Give `model` the weights of a file for the block, then its own again. Nothing happens without a file.

    Raises:
        LoadError: The file cannot be read safely, or does not fit the module.
    """
    if path is None:
        yield
        return
    own = model.state_dict(keep_vars=True)
    fitted = _fitted(own, read_state(Path(path)), f"{path} does not fit {type(model).__name__}: ")
    model.load_state_dict(fitted, assign=True)
    try:
        yield
    finally:
        model.load_state_dict(own, assign=True)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a state dict that ``torch.save`` wrote.

    Raises:
        LoadError: The file is missing, damaged, or holds pickled objects other than tensors.
    """
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    state = {str(key).removeprefix("module."): value for key, value in content.items()}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise LoadError(f"{path} holds no state dict", accepted="a mapping from names to tensors")
    return state


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise LoadError(f"{path} is not a whole safetensors file: {error}") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or "Unsupported" in str(error) or "global" in str(error).lower():
            raise pickled_module(path) from error
        raise LoadError(f"{path} is not a whole state dict") from error
    except Exception as error:
        raise LoadError(f"{path} is not a whole state dict: {type(error).__name__}") from error
    if not isinstance(content, Mapping):
        raise LoadError(f"{path} holds a {type(content).__name__}", accepted="a state dict")
    return dict(content)


def pickled_module(path: Path) -> LoadError:
    """The refusal of a file that is no plain state dict."""
    return LoadError(
        f"{path} holds pickled Python objects: reading it would run whatever code it contains",
        accepted=".pt2 (torch.export.save), or a state dict with the module it belongs to",
        next_step="where the model was made: torch.export.save(torch.export.export(model, example_inputs), 'model.pt2'), "
        "or torch.save(model.state_dict(), 'weights.pt') and then model.py:build --weights weights.pt",
    )


def _fitted(own: Mapping[str, Tensor], state: Mapping[str, Tensor], complaint: str) -> dict[str, Tensor]:
    """The state under all the module's names; names that share one tensor in the module go on sharing one."""
    names: dict[int, list[str]] = {}
    for key, tensor in own.items():
        names.setdefault(id(tensor), []).append(key)
    found = {key: next((n for n in names[id(tensor)] if n in state), None) for key, tensor in own.items()}
    missing = [key for key, name in found.items() if name is None and not key.endswith("num_batches_tracked")]
    surplus = [key for key in state if key not in own]
    wrong = [
        f"{k} is {list(state[n].shape)} in the file, {list(own[k].shape)} in the module"
        for k, n in found.items()
        if n and state[n].shape != own[k].shape
    ]
    if missing or surplus or wrong:
        lists = (("missing", missing), ("not in the module", surplus))
        raise LoadError(
            complaint + "; ".join([*(f"{len(keys)} {what} ({', '.join(keys[:3])}…)" for what, keys in lists if keys), *wrong[:3]])
        )
    fresh: dict[int, Tensor] = {}
    for key, name in found.items():
        value = own[key] if name is None else state[name]  # batch counters, which older files lack, inference never reads
        fresh.setdefault(id(own[key]), nn.Parameter(value, requires_grad=False) if isinstance(own[key], nn.Parameter) else value)
    return {key: fresh[id(tensor)] for key, tensor in own.items()}
