"""State dicts, read without running code, into a module for the time of its trace."""

from __future__ import annotations

import copy
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
    own = {key: copy.copy(value) for key, value in model.state_dict(keep_vars=True).items()}
    state = read_state(Path(path))
    _check_fit(model, state, Path(path))
    model.load_state_dict(state, assign=True)
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


def _check_fit(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    surplus = [k for k in state if k not in own]
    wrong = [
        f"{k} is {list(state[k].shape)} in the file, {list(own[k].shape)} in the module"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    if missing or surplus or wrong:
        problems = [
            f"{len(names)} {what} ({', '.join(names[:3])}…)"
            for what, names in (("missing", missing), ("not in the module", surplus))
            if names
        ]
        raise LoadError(f"{path} does not fit {type(model).__name__}: " + "; ".join([*problems, *wrong[:3]]))
    for key in own:
        if key not in state:  # batch counters, which older files lack and inference never reads
            state[key] = own[key]  # type: ignore[index]
