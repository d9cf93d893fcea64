import pytest

from edgekit.graph import aten
from edgekit_converters.coreml.registry import EMITTERS as COREML
from edgekit_converters.litert.registry import EMITTERS as LITERT
from edgekit_converters.onnx.registry import EMITTERS as ONNX


@pytest.mark.parametrize("registry", [COREML, LITERT, ONNX], ids=lambda r: r.package.rpartition(".")[2])
def test_every_family_registers_and_names_its_operators(registry):
    modules = {getattr(entry, "emit", entry).__module__.rpartition(".")[2] for entry in registry.entries.values()}
    assert modules == set(registry.families)
    assert "convolution" in registry.supported and list(registry.supported) == sorted(set(registry.supported))


def test_what_registers_for_several_overloads_is_one_entry():
    assert ONNX.entries[aten.fake_quantize_per_tensor_affine.default] is ONNX.entries[aten.fake_quantize_per_channel_affine.default]


def test_an_operator_that_cannot_be_written_is_told_its_like():
    class Node:
        target = aten.upsample_bicubic2d.vec

    assert "upsample_nearest2d" in (LITERT.nearest(Node) or "")  # type: ignore[arg-type]
