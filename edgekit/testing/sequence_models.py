"""PyTorch sequence and audio models of the reference set."""

from __future__ import annotations

from torch import Tensor, nn


class RecurrentClassifier(nn.Module):
    """Two recurrent layers and a linear head on the last step. Input (N, time, features)."""

    def __init__(self, kind: str = "gru", features: int = 8, width: int = 16, classes: int = 4, bidirectional: bool = False) -> None:
        super().__init__()
        recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[kind]
        self.rnn = recurrent(features, width, 2, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(width * (1 + bidirectional), classes)

    def forward(self, sequence: Tensor) -> Tensor:
        """Class logits of shape (N, classes)."""
        states, _ = self.rnn(sequence)
        return self.head(states[:, -1])  # type: ignore[no-any-return]


class AudioNet(nn.Sequential):
    """A 1-D convolutional net on raw audio (Dai et al. 2017, M5, made narrow). Input (N, 1, samples)."""

    def __init__(self, width: int = 8, classes: int = 4) -> None:
        super().__init__(
            nn.Conv1d(1, width, 80, 16), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(4),
            nn.Conv1d(width, 2 * width, 3, padding="same"), nn.BatchNorm1d(2 * width), nn.ELU(),
            nn.Conv1d(2 * width, 2 * width, 3, padding=2, dilation=2, groups=2), nn.ReLU6(),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2 * width, classes), nn.LogSoftmax(-1),
        )  # fmt: skip
