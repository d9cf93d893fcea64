"""A target whose artifacts need no vendor code: the fake format, under LiteRT's rules."""

from __future__ import annotations

from dataclasses import replace

from edgekit.targets import Target, load_target


def fake_target() -> Target:
    """Target ``fake``: static int8 by default, run by `edgekit_runtimes.fake`."""
    return replace(load_target("android"), name="fake", description="no vendor code", format="fake", runtimes=("fake",))
