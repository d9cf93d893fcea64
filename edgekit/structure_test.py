"""The shape of the project: what may import what, how long things may be, and that every public name and option is real."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import edgekit
from edgekit.cli.app import COMMANDS, app

ROOT = Path(__file__).parent.parent
SOURCES = {"edgekit": ROOT / "edgekit", "edgekit_converters": ROOT / "converters", "edgekit_runtimes": ROOT / "runtimes"}

NOUNS = {"arguments", "artifact", "constraints", "counting", "data", "declared", "devices", "digests", "documenting", "documents",
         "errors", "gains", "graph", "graphfile", "junit", "ops", "nursery", "onnxfile", "ordering", "plugins", "preprocess",
         "progress", "recipe", "recipes", "resizing", "schemas", "schemes", "sensing", "sizes", "source", "staging", "targets",
         "tensors", "timing", "units", "wording", "worker"}  # fmt: skip
LAYERS = [
    NOUNS,
    {"loading"},
    {"canonicalize"},
    {"compress"},
    {"conversion"},
    {"verification", "profiling", "packing"},
    {"debugging"},
    {"report"},
    {"cli"},
]
"""From left to right: a module imports its own layer and those before it."""

FORBIDDEN_NAMES = {"utils", "util", "helper", "helpers", "manager", "handler", "factory", "common", "misc", "profile", "json"}
SHADOWED = {"load", "pack", "unpack", "convert", "verify", "profile", "compare", "explain", "debug", "fix"}
FRAMEWORKS = ["torch", "keras", "tensorflow", "jax", "transformers", "ai_edge_litert", "scipy", "sklearn", "numpy", "rich"]
MAX_FILE, MAX_FUNCTION = 400, 80


def python_files() -> list[Path]:
    folders = [*SOURCES.values(), ROOT / "examples", ROOT / "benchmarks", ROOT / "docs"]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def product_files() -> list[Path]:
    """What the wheel holds."""
    parts = (path for folder in SOURCES.values() for path in folder.rglob("*.py"))
    return sorted(p for p in parts if not p.name.endswith("_test.py") and p.name != "conftest.py" and "testing" not in p.parts)


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    package = next(name for name, folder in SOURCES.items() if folder in path.parents)
    base = SOURCES[package] if package == "edgekit" else SOURCES[package] / package
    parts = [package, *path.relative_to(base).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Absolute names of all modules a file imports, at the top or in a function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{label(path)}:{node.lineno}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "edgekit")


def layer(name: str) -> int | None:
    """Index into `LAYERS` of ``edgekit.<part>…``; None for the package itself and its public names."""
    part = name.split(".")[1] if "." in name else ""
    return next((i for i, members in enumerate(LAYERS) if part in members), None)


def test_every_module_has_a_place_in_the_layers():
    parts = {module_name(p).split(".")[1] for p in product_files() if module_name(p).count(".") and module_name(p).startswith("edgekit.")}
    assert parts <= set.union(*LAYERS)


@pytest.mark.parametrize("path", product_files(), ids=label)
def test_nothing_imports_to_the_right(path):
    name = module_name(path)
    if name == "edgekit":
        return
    for other in imported(path):
        root = other.split(".")[0]
        if name.startswith("edgekit."):
            assert root not in ("edgekit_converters", "edgekit_runtimes"), f"{other}: plug-ins are imported through edgekit.plugins only"
            if root == "edgekit" and layer(other) is not None:
                assert layer(other) <= layer(name), f"{name} imports {other}"
        elif root == "edgekit":
            assert layer(other) in (0, None), f"{name} imports {other}: plug-ins know the nouns only"
        elif root.startswith("edgekit_"):
            assert root == name.split(".")[0], f"{name} imports {other}: plug-ins do not know each other"


@pytest.mark.parametrize("path", product_files(), ids=label)
def test_packages_do_not_shadow_public_functions_or_hide_what_they_are(path):
    for part in module_name(path).split("."):
        assert part not in FORBIDDEN_NAMES
    assert module_name(path) not in {f"edgekit.{name}" for name in SHADOWED}


@pytest.mark.parametrize("path", python_files(), ids=label)
def test_files_and_functions_are_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_FILE, f"{lines} lines"
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= MAX_FUNCTION}
    assert not long


def test_public_names():
    assert set(edgekit.__all__) >= {
        "load",
        "convert",
        "verify",
        "profile",
        "compare",
        "explain",
        "Artifact",
        "Recipe",
        "Preprocess",
        "EdgekitError",
    }
    assert sorted(edgekit.__all__) == edgekit.__all__
    for name in edgekit.__all__:
        assert getattr(edgekit, name).__doc__, f"edgekit.{name} has no docstring"
    assert set(edgekit.__all__) <= set(dir(edgekit))
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = edgekit.nothing_of_this_name


def test_type_checkers_see_the_names_that_are_imported_lazily():
    guarded = next(node for node in tree(ROOT / "edgekit" / "__init__.py").body if isinstance(node, ast.If))
    homes = {alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    homes = {name: module for name, module in homes.items() if name not in ("Path", "Dims")}  # of load's own signature
    assert set(homes) | {"load"} == set(edgekit.__all__)
    assert {name: module.removeprefix("edgekit.") for name, module in homes.items() if module != "edgekit.errors"} == edgekit._HOMES


def commands() -> dict[str, click.Command]:
    context = click.Context(app)
    return {name: app.get_command(context, name) for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    command = commands()[name]
    help_text = command.get_help(click.Context(command, info_name=name))
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help and parameter.help.endswith("."), f"{name} {parameter.opts[0]}"
            assert parameter.opts[0] in help_text
        elif not isinstance(parameter.type, click.Choice):  # choices are spelled out in the usage line
            shown = parameter.make_metavar(click.Context(command)).strip("[].")
            assert shown in str(command.help), f"{name}'s help does not explain {shown}"
    assert {"--json", "--quiet", "--debug"} <= {opt for p in command.params for opt in p.opts}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nsys.stderr.write(json.dumps([m for m in {FRAMEWORKS} if m in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stderr))


@pytest.mark.parametrize(
    "statement",
    [
        "import edgekit",
        "import edgekit.cli as c; c.main(['--help'])",
        *(f"import edgekit.cli as c; c.main(['{n}', '--help'])" for n in COMMANDS),
    ],
)
def test_starting_imports_no_framework(statement):
    assert loaded_by(statement) == set()


def test_completion_imports_no_framework():
    environment = (
        "import os; os.environ.update(_EDGEKIT_COMPLETE='bash_complete', COMP_WORDS='edgekit convert m --recipe ', COMP_CWORD='4')"
    )
    statement = f"{environment}\nimport edgekit.cli as c\ntry:\n    c.main()\nexcept SystemExit:\n    pass"
    assert not loaded_by(statement) & {"torch", "keras", "ai_edge_litert"}
