"""The built-in validator agrees with the reference implementation."""

import copy
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import schemas
from edgekit.errors import UsageError

NAMES = sorted(p.stem for p in schemas.FOLDER.glob("*.json"))
TENSOR = {"name": "x", "shape": [1, 3], "dtype": "int8", "grid": {"dtype": "int8", "scale": [0.5], "zero_point": [3], "axis": None}}
MANIFEST = {
    "schema": "edgekit.artifact/1", "target": "android", "format": "fake", "model_file": "m.bin",
    "source": {"framework": "pytorch", "name": "Net", "digest": "0" * 64}, "batch": 1, "inputs": [TENSOR], "outputs": [TENSOR],
    "preprocess": None, "labels": ["cat"], "description": None, "recipe": "int8",
    "ops": [{"name": "CONV_2D", "module": "a.b", "dtype": "int8"}], "notes": [], "tools": {"edgekit": "1"},
    "files": {"m.bin": {"sha256": "0" * 64, "bytes": 3}}, "evidence": None,
}  # fmt: skip
JUNK = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.just(0.5), st.just("int8"), st.just([]), st.just({}), st.just([None]))


def accepts(document, name):
    try:
        schemas.validate(document, name, "it")
    except UsageError:
        return False
    return True


def paths(value, prefix=()):
    yield prefix
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*prefix, key))


def replaced(document, path, value, drop):
    document = copy.deepcopy(document)
    if not path:
        return value
    owner = document
    for key in path[:-1]:
        owner = owner[key]
    if drop:
        del owner[path[-1]]
    else:
        owner[path[-1]] = value
    return document


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(schemas.schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_only_keywords_the_validator_knows_are_used(name):
    known = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "required", "additionalProperties", "properties", "items",
             "const", "enum", "pattern", "minimum", "minItems", "maxItems"}  # fmt: skip

    def check(rule):
        assert set(rule) <= known
        for inner in (*rule.get("properties", {}).values(), *rule.get("$defs", {}).values()):
            check(inner)
        for key in ("items", "additionalProperties"):
            if isinstance(rule.get(key), dict):
                check(rule[key])

    check(schemas.schema(name))


@pytest.mark.parametrize(("batches", "fits"), [(None, True), ([1, 2, 4], True), ([1, 2], False), ([1, 2, 4, 8], False)])
def test_lists_have_the_length_they_must(batches, fits):
    document = {**MANIFEST, "batches": batches}
    assert accepts(document, "artifact-1") == fits


def test_the_example_is_valid():
    assert accepts(MANIFEST, "artifact-1")


@settings(max_examples=300)
@given(st.sampled_from(sorted(paths(MANIFEST), key=str)), JUNK, st.booleans())
def test_agrees_with_jsonschema(path, value, drop):
    document = replaced(MANIFEST, path, value, drop)
    document = json.loads(json.dumps(document))
    valid = jsonschema.Draft202012Validator(schemas.schema("artifact-1")).is_valid(document)
    assert accepts(document, "artifact-1") == valid


def test_the_error_says_where():
    bad = replaced(MANIFEST, ("files", "m.bin", "bytes"), "3", False)
    with pytest.raises(UsageError, match=r"files\.m\.bin\.bytes"):
        schemas.validate(bad, "artifact-1", "manifest.json")
