import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import LoadError
from edgekit.loading import export


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(LoadError, match="there is no file"):
        export(tmp_path / "none.keras")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl"])
def test_a_pickled_module_is_refused_with_the_reason_and_the_way_out(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(LoadError) as caught:
        export(path)
    assert "run whatever code it contains" in str(caught.value) and "torch.export.save" in str(caught.value)


def test_weights_alone_are_no_model(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(LoadError, match=r"--weights w\.safetensors"):
        export(tmp_path / "w.safetensors")
    (tmp_path / "m.weights.h5").write_bytes(b"")
    with pytest.raises(LoadError, match="weights without the model"):
        export(tmp_path / "m.weights.h5")


@pytest.mark.parametrize(("name", "message"), [("m.onnx", "ONNX"), ("m.tflite", "LiteRT"), ("m.txt", "no model edgekit reads")])
def test_other_files_are_refused_with_what_is_accepted(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(LoadError, match=message) as caught:
        export(tmp_path / name)
    assert ".keras" in str(caught.value)


def test_folders_are_refused_and_a_saved_model_names_the_extra(tmp_path):
    with pytest.raises(LoadError, match="is a folder"):
        export(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(LoadError, match=r"edgekit\[tensorflow\]"):
        export(tmp_path)
