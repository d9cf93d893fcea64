import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import LoadError
from edgekit.loading import export

X = torch.randn(1, 3)


def make(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def answer(exported):
    return exported.program.module()(X)[0]


@pytest.mark.parametrize("form", ["safetensors", "pt", "pth", "wrapped", "parallel"])
def test_state_dicts_load_for_the_trace_only(tmp_path, form):
    trained, model = make(1).eval(), make(2)
    path = tmp_path / f"weights.{form if form in ('safetensors', 'pt', 'pth') else 'ckpt'}"
    state = {k: v + 0.5 if v.is_floating_point() else v for k, v in trained.state_dict().items()}
    trained.load_state_dict(state)
    if form == "safetensors":
        save_file(state, path)
    elif form == "wrapped":
        torch.save({"state_dict": state, "epoch": 3}, path)
    elif form == "parallel":
        torch.save({f"module.{k}": v for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    own = list(model.parameters())
    torch.testing.assert_close(answer(export(model, X, weights=path)), trained(X))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(a is b for a, b in zip(own, model.parameters(), strict=True))


def test_tied_weights_stay_one_tensor_and_may_be_stored_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    path, weight = tmp_path / "w.safetensors", torch.randn(3, 3)
    save_file({"first.weight": weight}, path)
    model = Tied()
    exported = export(model, X, weights=path)
    torch.testing.assert_close(answer(exported), X @ weight.T @ weight.T)
    assert len({id(v) for v in exported.program.state_dict.values()}) == 1
    assert model.first.weight is model.second.weight


def test_batch_counters_may_be_missing(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({k: v for k, v in make(1).state_dict().items() if "num_batches" not in k}, path)
    export(make(2), X, weights=path)


def test_weights_that_do_not_fit_are_listed(tmp_path):
    path = tmp_path / "w.pt"
    state = make(1).state_dict()
    state["0.weight"] = torch.ones(5, 3)
    state["extra"] = state.pop("1.bias")
    torch.save(state, path)
    with pytest.raises(LoadError, match=r"missing \(1.bias.*not in the module \(extra.*0.weight is \[5, 3\]"):
        export(make(2), X, weights=path)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_runs_nothing(tmp_path, capsys):
    path = tmp_path / "w.pt"
    torch.save({"0.weight": Evil()}, path)
    with pytest.raises(LoadError, match="would run whatever code"):
        export(make(2), X, weights=path)
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(LoadError):
        export(make(2), X, weights=tmp_path / "raw.pkl")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
def test_damaged_and_missing_files_are_one_clear_error(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    with pytest.raises(LoadError, match="there is no file"):
        export(make(2), X, weights=path)
    path.write_bytes(b"\x00not weights")
    with pytest.raises(LoadError, match=r"not a whole|pickled"):
        export(make(2), X, weights=path)


def test_weights_need_a_module(tmp_path):
    torch.save(make(1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(LoadError, match="its own weights"):
        export("model.keras", weights=tmp_path / "w.pt")
