"""One setting for every test: Keras models run on the torch backend, which must be chosen before keras is imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
