"""Keep out of a traced graph what cannot change an answer.

A `TorchFunctionMode` sees every torch call of a model's forward before the tracer does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from edgekit.errors import LoadError

_RANDOM = ("rand", "normal", "bernoulli", "multinomial", "dropout", "uniform", "exponential", "poisson")
_FACTORIES = {"as_tensor", "tensor", "scalar_tensor", "zeros", "ones", "full", "arange", "eye", "linspace", "tril_indices", "triu_indices"}
_VIEWS = {"T", "mT", "H", "mH"}
_WRITING = {"__setitem__", *(f"__i{op}__" for op in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"))}


class Lean(TorchFunctionMode):
    """Drops gradient regions, which would become graphs inside the graph, and casts to the dtype a tensor already has."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Answer what needs no tracing, pass on the rest."""
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled:
            return None
        if func is Tensor.to and _is_noop(args, kwargs):
            return args[0]
        return func(*args, **kwargs)


@contextmanager
def without_autocast() -> Iterator[None]:
    """Make autocast regions do nothing: models are traced in float32, and precision is the recipe's choice."""
    enter, leave = torch.autocast.__enter__, torch.autocast.__exit__
    torch.autocast.__enter__ = lambda self: self  # type: ignore[method-assign]
    torch.autocast.__exit__ = lambda self, *error: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__enter__, torch.autocast.__exit__ = enter, leave  # type: ignore[method-assign]


class Folding(Lean):
    """Also computes at once whatever depends on weights alone, so that only the work on inputs is traced.

    Half of what Keras' torch backend does at each call prepares weights: transposes kernels, reshapes biases,
    takes square roots of variances.

    Args:
        weights: The model's own tensors, which no computation may overwrite.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()
        self._storages = {_storage(weight) for weight in weights}

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Compute on real tensors, trace on symbolic ones."""
        kwargs = kwargs or {}
        if self._is_foldable(func, args, kwargs):
            return constant(lambda: func(*args, **kwargs))
        return super().__torch_function__(func, types, args, kwargs)

    def _is_foldable(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        name = getattr(func, "__name__", "")
        # Attributes but views are cheap either way; what draws at random must not be drawn once for all.
        if name == "__set__" or (name == "__get__" and _attribute(func) not in _VIEWS) or any(word in name for word in _RANDOM):
            return False
        tensors = [*_tensors(args), *_tensors(kwargs.values())]
        if (name in _WRITING or (name.endswith("_") and not name.endswith("__"))) and tensors:
            self._refuse_write(tensors[0])
        return all(map(is_weight, tensors)) if tensors else name in _FACTORIES

    def _refuse_write(self, target: Tensor) -> None:
        if is_weight(target) and constant(lambda: _storage(target)) in self._storages:
            raise LoadError(
                "the model changes its own weights when it is called, and an artifact keeps no state between calls",
                next_step="make the state an input and an output",
            )


def constant(compute: Callable[[], Any]) -> Any:
    """The result of `compute`, run outside the trace; its tensors are contiguous."""
    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.no_grad():
        result = compute()
        return result.detach().contiguous() if isinstance(result, Tensor) else result


def is_weight(value: object) -> bool:
    """Whether a value seen during tracing is a real tensor, not a traced one."""
    return isinstance(value, Tensor) and not isinstance(value, FakeTensor)


def _attribute(getter: Any) -> str:
    return getattr(getattr(getter, "__self__", None), "__name__", "")


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _is_noop(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether ``x.to(...)`` names neither another dtype nor another device."""
    x, wanted = args[0], [*args[1:], *(v for k, v in kwargs.items() if k in ("dtype", "device", "other"))]
    if kwargs.get("copy") or kwargs.get("memory_format") is not None:
        return False
    return all(_agrees(x, value) for value in wanted)


def _agrees(x: Tensor, wanted: Any) -> bool:
    """Whether `x` has the dtype, the device, or both of the tensor, that is asked for; flags ask for neither."""
    if isinstance(wanted, Tensor):
        return wanted.dtype == x.dtype and wanted.device.type == x.device.type
    if isinstance(wanted, torch.dtype):
        return wanted == x.dtype
    if isinstance(wanted, (torch.device, str)):
        return torch.device(wanted).type == x.device.type
    return isinstance(wanted, bool) or wanted is None
