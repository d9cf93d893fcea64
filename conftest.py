"""Settings for every test: what passes passes again, in any order, in any number of processes, on a machine however busy.

* Keras models run on the torch backend, which must be chosen before keras is imported.
* Ctrl-C works: a shell that starts a run of tests in the background has it ignore Ctrl-C, and so would all processes the tests start.
* Each test draws the random numbers it would draw alone, and hypothesis its examples; no example has a time limit. To search for others:
  ``pytest --hypothesis-profile=search``.
"""

import os
import random
import signal
import sys
from contextlib import suppress

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

with suppress(ImportError):  # device_tests/ does without
    from hypothesis import HealthCheck, settings

    settings.register_profile("edgekit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("search", settings.get_profile("edgekit"), derandomize=False)
    settings.load_profile("edgekit")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed what draws without a generator of its own, before any fixture does."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
