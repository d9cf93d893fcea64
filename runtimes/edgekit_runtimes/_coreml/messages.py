"""The protobuf messages of Core ML files, without importing coremltools itself, which takes seconds and imports torch.

coremltools ships Apple's official message classes in its folder ``proto``; they need protobuf only, and are imported from there under
a name of our own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from edgekit.plugins import require

_NAME = "edgekit_runtimes._coreml_messages"


@cache
def messages(name: str) -> Any:
    """The message module ``Model_pb2``, ``MIL_pb2`` or ``FeatureTypes_pb2``.

    Raises:
        UsageError: The ``coreml`` extra is not installed.
    """
    require("coremltools", "coreml")
    if _NAME not in sys.modules:
        _register(_NAME)
    return importlib.import_module(f"{_NAME}.{name}")


def _register(name: str) -> None:
    """Make coremltools' folder of messages a package called `name`."""
    found = importlib.util.find_spec("coremltools")
    assert found is not None and found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "proto"
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)  # its __init__ imports all of them: not run
