"""Settings for every test: Keras models run on the torch backend, which must be chosen before keras is imported, and Ctrl-C works.

A shell that starts a run of tests in the background has it ignore Ctrl-C, and so would all processes the tests start and interrupt.
"""

import os
import signal

os.environ.setdefault("KERAS_BACKEND", "torch")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
