"""The reference set: every architecture edgekit promises to convert, by name.

Weights are real where the data folder has them, else random with disturbed batch-norm statistics (`randomize`).
Sizes are small enough to be quick. ``REFERENCE["bert"]()`` builds a model; ``names(...)`` gives pytest parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgekit.testing import keras_models, sequence_models, transformers_models, vision_models
from edgekit.testing.data import data_file
from edgekit.testing.randomize import randomize, randomize_keras

Inputs = Callable[[int, int], tuple[Tensor, ...]]
"""Given a seed and a batch size, model-ready random inputs."""


@dataclass(frozen=True)
class ReferenceModel:
    """A built model.

    Attributes:
        name: Its key in `REFERENCE`.
        model: A ``torch.nn.Module`` in eval mode, or a ``keras.Model`` on the torch backend.
        inputs: Random inputs of a seed and a batch size, in the order of the model's arguments.
        kind: ``conv``, ``dense``, ``transformer`` or ``rnn``.
        framework: ``pytorch`` or ``keras``.
        slow: Takes more than a few seconds to export.
    """

    name: str
    model: Any
    inputs: Inputs
    kind: str
    framework: str
    slow: bool

    @property
    def example_inputs(self) -> tuple[Tensor, ...]:
        """The inputs of seed 0, batch 1."""
        return self.inputs(0, 1)

    def run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The source model's own flat outputs."""
        import torch.utils._pytree as pytree  # noqa: PLC0415

        several_keras = self.framework == "keras" and len(inputs) > 1
        with torch.no_grad():
            result = self.model(list(inputs)) if several_keras else self.model(*inputs)
        leaves = pytree.tree_leaves(dict(result) if hasattr(result, "to_tuple") else result)
        return tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))


@dataclass(frozen=True)
class Reference:
    """A model that can be built: call it."""

    name: str
    build: Callable[[], Any]
    inputs: Inputs
    kind: str
    framework: str
    slow: bool = False
    randomized: bool = True

    def __call__(self) -> ReferenceModel:
        """Build it; skips the running test where its files are missing."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = self.build().eval()
            if self.randomized:
                disturb = randomize_keras if self.framework == "keras" else randomize
                model = disturb(model, self.inputs(1, 4))
        return ReferenceModel(self.name, model, self.inputs, self.kind, self.framework, self.slow)


def _normal(*shape: int, scale: float = 1.0) -> Inputs:
    def draw(seed: int, batch: int) -> tuple[Tensor, ...]:
        return (scale * torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed)),)

    return draw


def _uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Inputs:
    def draw(seed: int, batch: int) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        return tuple(torch.rand(batch, *shape, generator=random) * (high - low) + low for shape in shapes)

    return draw


def _cifar_resnet(n: int) -> Callable[[], Any]:
    def build() -> Any:
        from safetensors.torch import load_file  # noqa: PLC0415

        model = vision_models.CifarResNet(n)
        model.load_state_dict(load_file(data_file(f"cifar_resnet{6 * n + 2}.safetensors")), strict=False)
        return model

    return build


def _stored() -> Iterable[Reference]:
    for name, inputs, kind in (
        ("ic_resnet8", _uniform(0, 255, (32, 32, 3)), "conv"),
        ("vww_mobilenet_v1_025_96", _uniform(0, 1, (96, 96, 3)), "conv"),
        ("kws_dscnn", _normal(49, 10, 1, scale=10.0), "conv"),
        ("ad_fc_autoencoder", _normal(640), "dense"),
        ("sww_streaming", _uniform(0, 1, (30, 1, 40)), "conv"),
    ):
        yield Reference(name, lambda n=name: keras_models.stored(n), inputs, kind, "keras", randomized=False)  # type: ignore[misc]


def _given_weights() -> Iterable[Reference]:
    yield Reference("cifar_resnet20", _cifar_resnet(3), _normal(3, 32, 32), "conv", "pytorch", randomized=False)
    yield Reference("cifar_resnet56", _cifar_resnet(9), _normal(3, 32, 32), "conv", "pytorch", randomized=False)
    build = lambda: vision_models.MobileNetV2.from_int8(data_file("mobilenet_v2_w8perchannel.safetensors"))  # noqa: E731
    yield Reference("mobilenet_v2_w8", build, _uniform(-1, 1, (3, 96, 96)), "conv", "pytorch", randomized=False)


def _applications() -> Iterable[Reference]:
    quick = {"MobileNet", "MobileNetV2", "MobileNetV3Small"}
    for cls, name in keras_models.APPLICATIONS.items():
        inputs = _uniform(0, 255, (96, 96, 3)) if cls in keras_models.PREPROCESSING_INSIDE else _uniform(-1, 1, (96, 96, 3))
        build = lambda cls=cls: keras_models.application(cls)  # noqa: E731
        yield Reference(name, build, inputs, "conv", "keras", slow=cls not in quick)


def _transformers() -> Iterable[Reference]:
    models = transformers_models
    yield Reference("vit", models.vit, models.image, "transformer", "pytorch")
    yield Reference("bert", models.bert, models.tokens, "transformer", "pytorch")
    yield Reference("distilbert", models.distilbert, models.tokens, "transformer", "pytorch")
    yield Reference("mobilevit", models.mobilevit, models.image, "transformer", "pytorch")
    yield Reference("segformer", models.segformer, models.image, "transformer", "pytorch")
    yield Reference("whisper_encoder", models.whisper_encoder, models.mel, "transformer", "pytorch")


def _own() -> Iterable[Reference]:
    gru = sequence_models.RecurrentClassifier
    sequence = _normal(16, 8)
    yield Reference("gru_classifier", gru, sequence, "rnn", "pytorch")
    yield Reference("lstm_classifier", lambda: gru("lstm"), sequence, "rnn", "pytorch")
    yield Reference("bilstm_classifier", lambda: gru("lstm", bidirectional=True), sequence, "rnn", "pytorch")
    yield Reference("unet", vision_models.UNet, _normal(3, 32, 32), "conv", "pytorch")
    yield Reference("audio1d", sequence_models.AudioNet, _normal(1, 4000), "conv", "pytorch")
    yield Reference("detector", vision_models.Detector, _normal(3, 32, 32), "conv", "pytorch")
    for kind in ("lstm", "gru", "bilstm"):
        yield Reference(f"keras_{kind}", lambda k=kind: keras_models.recurrent(k), sequence, "rnn", "keras")  # type: ignore[misc]
    yield Reference("keras_two_headed", keras_models.two_headed, _uniform(-1, 1, (16, 16, 3), (5,)), "conv", "keras")


REFERENCE: dict[str, Reference] = {
    r.name: r for group in (_stored, _given_weights, _applications, _transformers, _own) for r in group()
}  # fmt: skip


def names(*kinds: str, framework: str | None = None) -> list[Any]:
    """Pytest parameters: the names of the models of these kinds (all, if none is given), slow ones marked so."""
    import pytest  # noqa: PLC0415

    chosen = [r for r in REFERENCE.values() if (not kinds or r.kind in kinds) and framework in (None, r.framework)]
    return [pytest.param(r.name, marks=pytest.mark.slow) if r.slow else r.name for r in chosen]
