from importlib.metadata import EntryPoint

import pytest

from edgekit import plugins
from edgekit.errors import UsageError


@pytest.mark.parametrize("kind", ["converters", "runtimes"])
def test_built_in_plugins_are_listed_without_their_tests_and_private_modules(kind):
    found = plugins.names(kind)
    assert "litert" in found
    assert not [name for name in found if name.startswith("_") or name.endswith("_test")]


@pytest.mark.parametrize("kind", ["converters", "runtimes"])
def test_an_unknown_name_lists_the_known_ones(kind):
    with pytest.raises(UsageError, match="litert"):
        plugins.load(kind, "coreml9")


def test_a_missing_package_names_the_extra(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="ai_edge_litert")

    monkeypatch.setattr(plugins.importlib, "import_module", absent)
    monkeypatch.setattr(plugins, "names", lambda kind: ("litert",))
    with pytest.raises(UsageError, match=r"edgekit\[litert\]"):
        plugins.load("converters", "litert")


def test_a_third_party_registers_by_entry_point(monkeypatch):
    point = EntryPoint("tensorrt_rtx", "edgekit.plugins:described", "edgekit.converters")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == "edgekit.converters" else [])
    assert "tensorrt_rtx" in plugins.names("converters")
    assert plugins.load("converters", "tensorrt_rtx") is plugins.described


def test_require_names_the_extra():
    plugins.require("numpy", "never")
    with pytest.raises(UsageError, match=r"edgekit\[vendor\]"):
        plugins.require("no_such_package_at_all", "vendor")
