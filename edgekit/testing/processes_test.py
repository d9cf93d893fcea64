import os
import subprocess

import pytest

from edgekit.testing.processes import ended, own_argument, running, wait_until


def test_a_process_is_found_by_its_argument_until_it_ends():
    argument = own_argument()
    assert running(argument) == []
    with subprocess.Popen(["sleep", argument]) as process:
        wait_until(lambda: running(argument))
        assert running(argument) == [process.pid] and not ended(process.pid)
        process.kill()
        wait_until(lambda: ended(process.pid))  # though nobody has asked for its exit code yet
        assert running(argument) == []
    assert ended(process.pid) and not ended(os.getpid())


def test_what_does_not_come_true_fails_the_test():
    with pytest.raises(AssertionError, match="did not come true"):
        wait_until(lambda: False, seconds=0)
