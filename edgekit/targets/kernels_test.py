import pytest

from edgekit.errors import UsageError
from edgekit.targets import load_target
from edgekit.targets.kernels import ONLY_MACS, Kernels

TARGET = """schema = "edgekit.target/1"
name = "mine"
description = "a board"
format = "litert"
recipe = "int8"
"""


def test_a_target_says_what_its_kernels_take(tmp_path):
    assert load_target("android").kernels.tile == 16
    path = tmp_path / "mine.toml"
    path.write_text(TARGET)
    assert load_target(path).kernels == ONLY_MACS
    path.write_text(TARGET + "[kernels]\ntile = 8\noutput = 30.5")
    assert load_target(path).kernels == Kernels(tile=8, output=30.5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[kernels]\ntiles = 8", r"has no key \['tiles'\]"),
        ("[kernels]\ntile = 1.5", "tile is 1.5"),
        ("[kernels]\ntile = 0", "tile of .* is 0"),
        ("[kernels]\noutput = -1", "output of .* is -1"),
        ("kernels = 8", "is 8"),
        ("platform = 3", "platform.* is 3"),
        ('flash_bytes = "1 MB"', "flash_bytes is '1 MB'"),
        ("images = 1", "images is 1"),
    ],
)
def test_bad_tables(tmp_path, table, message):
    path = tmp_path / "mine.toml"
    path.write_text(TARGET + table)
    with pytest.raises(UsageError, match=message):
        load_target(path)
