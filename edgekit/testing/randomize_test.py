import torch
from torch import nn

from edgekit.testing.randomize import randomize
from edgekit.testing.reference import REFERENCE, names


def test_nothing_that_folding_could_drop_stays_at_its_default():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LayerNorm([6, 6]))
    randomize(model, (torch.randn(4, 3, 8, 8),))
    norm = model[1]
    for tensor, default in ((norm.running_mean, 0), (norm.running_var, 1), (norm.weight, 1), (norm.bias, 0)):
        assert float((tensor - default).abs().min()) > 1e-6
    assert not model.training and norm.momentum == 0.1


def test_the_same_seed_gives_the_same_model():
    first, second = REFERENCE["unet"]().model.state_dict(), REFERENCE["unet"]().model.state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_deep_random_models_keep_a_sane_range():
    for name in ("keras_mobilenet_v2", "mobilevit", "unet"):
        model = REFERENCE[name]()
        for output in model.run(*model.example_inputs):
            assert torch.isfinite(output).all() and 1e-3 < float(output.abs().max()) < 1e3


def test_the_set_is_whole():
    assert len(REFERENCE) >= 34
    assert {r.kind for r in REFERENCE.values()} == {"conv", "dense", "transformer", "rnn"}
    assert len(names()) == len(REFERENCE) and set(names("rnn", framework="keras")) == {"keras_lstm", "keras_gru", "keras_bilstm"}
