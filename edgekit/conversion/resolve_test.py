import inspect

import pytest

from edgekit.conversion.resolve import FileOptions, resolve
from edgekit.errors import UsageError


def ask(target, recipe=None, **options):
    return resolve(target, recipe, None, **options)


def test_every_option_is_one_of_the_file():
    keywords = {p.name for p in inspect.signature(resolve).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert keywords == FileOptions.__optional_keys__
    with pytest.raises(TypeError, match="speed"):
        ask("ios", "float32", speed=3)


def test_defaults_are_the_targets():
    request = ask("ios")
    assert (request.recipe.name, request.encoding.compute, request.target.platform.minimum) == ("palettize8", "float16", "17")
    assert request.encoding.platform == request.target.platform
    assert ask("android").encoding.compute == "float32"


def test_what_the_user_asks_goes_first():
    request = ask("ios", "float32", compute="float32", versions={"ios": "18"})
    assert (request.recipe.name, request.encoding.compute, request.encoding.platform.minimum) == ("float32", "float32", "18")


@pytest.mark.parametrize(
    "target, recipe, options, message",
    [
        ("android", "float32", {"versions": {"ios": "17"}}, "no versions of 'ios'"),
        ("ios", "float32", {"versions": {"ios": "9"}}, "no iOS 9 is known"),
        ("android", "float32", {"compute": "float16"}, "does not compute in float16"),
        ("android", "float32", {"images": True}, "takes no pictures"),
        ("ios", "dynamic_int8", {}, "rounds activations at run time"),
        ("jetson", "int16x8", {}, "rounds activations to int16, and target 'jetson'"),
        ("android", "float32", {"batches": (1, 2, 4)}, "one batch only"),
        ("ios", "float32", {"emitter": "nobody"}, "unknown emitter"),
    ],
)
def test_refusals(target, recipe, options, message):
    with pytest.raises(UsageError, match=message):
        ask(target, recipe, **options)
