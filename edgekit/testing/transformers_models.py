"""Small, randomly initialised transformers of the reference set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Wide enough that attention is not uniform: std of 1/sqrt(fan in) at 32 channels.
_STD = 0.15
_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": _STD,
}
_TEN_LABELS: dict[str, Any] = {"num_labels": 10}
_FIVE_LABELS: dict[str, Any] = {"num_labels": 5}


def image(seed: int, batch: int = 1, size: int = 64) -> tuple[Tensor, ...]:
    """Pixel values of shape (batch, 3, size, size)."""
    return (torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed)),)


def tokens(seed: int, batch: int = 1) -> tuple[Tensor, ...]:
    """Ids of shape (batch, 16), int64, and a mask that hides the last three."""
    ids = torch.randint(5, 90, (batch, 16), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[:, -3:] = 0
    return ids, mask


def mel(seed: int, batch: int = 1) -> tuple[Tensor, ...]:
    """Log-mel features of shape (batch, 20, 100)."""
    return (torch.randn(batch, 20, 100, generator=torch.Generator().manual_seed(seed)),)


def vit() -> nn.Module:
    """ViT (Dosovitskiy et al. 2021)."""
    from transformers import ViTConfig, ViTForImageClassification  # noqa: PLC0415

    return ViTForImageClassification(ViTConfig(image_size=64, patch_size=16, **_TEN_LABELS, **_SMALL))


def bert() -> nn.Module:
    """BERT (Devlin et al. 2019)."""
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    return BertModel(BertConfig(vocab_size=100, **_SMALL))


def distilbert() -> nn.Module:
    """DistilBERT (Sanh et al. 2019)."""
    from transformers import DistilBertConfig, DistilBertModel  # noqa: PLC0415

    return DistilBertModel(DistilBertConfig(vocab_size=100, dim=32, n_layers=2, n_heads=2, hidden_dim=64, initializer_range=_STD))


def mobilevit() -> nn.Module:
    """MobileViT (Mehta and Rastegari 2022)."""
    from transformers import MobileViTConfig, MobileViTForImageClassification  # noqa: PLC0415

    config = MobileViTConfig(
        image_size=64, hidden_sizes=[32, 48, 64], neck_hidden_sizes=[8, 16, 24, 32, 40, 48, 96], initializer_range=_STD, **_TEN_LABELS
    )
    return MobileViTForImageClassification(config)


def segformer() -> nn.Module:
    """SegFormer (Xie et al. 2021)."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation  # noqa: PLC0415

    config = SegformerConfig(
        hidden_sizes=[8, 16, 32, 32], num_attention_heads=[1, 2, 2, 2], depths=[1, 1, 1, 1], decoder_hidden_size=16,
        initializer_range=_STD, **_FIVE_LABELS,
    )  # fmt: skip
    return SegformerForSemanticSegmentation(config)


def whisper_encoder() -> nn.Module:
    """Whisper's encoder (Radford et al. 2023)."""
    from transformers import WhisperConfig, WhisperModel  # noqa: PLC0415

    config = WhisperConfig(
        vocab_size=100, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=50, num_mel_bins=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, init_std=_STD,
    )  # fmt: skip
    encoder: nn.Module = WhisperModel(config).get_encoder()
    return encoder
