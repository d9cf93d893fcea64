"""A preprocess comes from a file, from options, or from both, where options win."""

import pytest

from edgekit.cli.preprocessing import STEPS, take_preprocess
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess


def parameters(file=None, **steps):
    return {"preprocess": file, **dict.fromkeys(STEPS), **steps}


def test_no_option_means_no_preprocess():
    assert take_preprocess(parameters()) is None


def test_options_add_to_a_file_and_win_over_it(tmp_path):
    file = tmp_path / "steps.toml"
    file.write_text('colour = "BGR"\nscale = 0.5\nmean = 3\n')
    assert take_preprocess(parameters(file, scale=2.0)) == Preprocess(colour="BGR", scale=2.0, mean=(3,))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"scale = ", b'scale = "half"', b"blur = 1"])
def test_a_file_that_is_none_is_an_error_of_the_users(tmp_path, content):
    file = tmp_path / "steps.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError):
        take_preprocess(parameters(file))
