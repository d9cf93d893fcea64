"""The gate of a continuous integration: is this profile slower than a baseline by more than is allowed?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.errors import GateFailed, UsageError
from edgekit.profiling.counted import CountedProfile
from edgekit.profiling.profiles import Profile
from edgekit.profiling.reading import AnyProfile
from edgekit.profiling.statistics import DRAWS, Interval, bootstrap_medians, resampled_medians


@dataclass(frozen=True)
class Regression:
    """A profile against its baseline.

    Attributes:
        ratio: New over baseline, with its 95 % interval; the interval of instruction counts has no width.
        allowed: The largest increase allowed, as a share.
        quantity: What was compared: ``latency`` or ``instructions``.
        baseline: The baseline's model.
    """

    ratio: Interval
    allowed: float
    quantity: str
    baseline: str

    @property
    def passed(self) -> bool:
        """Whether the increase is within what is allowed, or cannot be told from none."""
        return self.ratio.value <= 1 + self.allowed or self.ratio.low <= 1

    def __str__(self) -> str:
        low, high = (f"{x - 1:+.1%}" for x in (self.ratio.low, self.ratio.high))
        interval = f" ({low} to {high})" if self.ratio.low != self.ratio.high else ""
        within = "within" if self.passed else "more than"
        return f"{self.quantity} {self.ratio.value - 1:+.1%}{interval} against {self.baseline}, {within} the {self.allowed:.1%} allowed"

    def require(self) -> Regression:
        """Return itself if passed.

        Raises:
            GateFailed: It is not.
        """
        if not self.passed:
            raise GateFailed(
                f"slower than the baseline: {self}", next_step="edgekit compare measures both in turns, which tells more surely"
            )
        return self


def regression(found: AnyProfile, baseline: AnyProfile, allowed: float) -> Regression:
    """Hold a profile against its baseline.

    Args:
        found: The new one.
        baseline: Measured with the same runner on the same kind of machine.
        allowed: The largest increase allowed, as a share.

    Raises:
        UsageError: They cannot be compared.
    """
    if allowed < 0:
        raise UsageError(f"cannot allow a regression of {allowed:.1%}", accepted="0 or more, for example 5%")
    if differences := list(_differences(found, baseline)):
        raise UsageError(f"the baseline was taken otherwise: {'; '.join(differences)}", next_step="take a new baseline here")
    if isinstance(found, Profile) and isinstance(baseline, Profile):
        return Regression(_ratio(found, baseline), allowed, "latency", baseline.model["name"])
    assert isinstance(found, CountedProfile) and isinstance(baseline, CountedProfile)
    if found.counts is None or baseline.counts is None:
        raise UsageError("nothing was counted or measured that could be compared")
    ratio = found.counts.run.total / max(1, baseline.counts.run.total)
    return Regression(Interval(ratio, ratio, ratio), allowed, "instructions", baseline.model["name"])


def _differences(found: AnyProfile, baseline: AnyProfile) -> list[str]:
    """What makes two profiles incomparable. The model may differ: that is what is tested."""
    pairs = [("basis", found.basis, baseline.basis), ("processor", found.machine.cpu, baseline.machine.cpu)]
    keys = ("runtime", "on", "threads", "delegate")
    pairs += [(key, getattr(found.runner, key), getattr(baseline.runner, key)) for key in keys]
    return [f"{name} {then!r}, now {now!r}" for name, now, then in pairs if now != then]


def _ratio(found: Profile, baseline: Profile) -> Interval:
    """Ratio of the medians of launch medians; both sides are resampled apart, for nothing pairs them."""
    rng = np.random.default_rng(0)
    new, old = (_resampled(p, rng) for p in (found, baseline))
    return Interval.around(found.latency.median_ms / baseline.latency.median_ms, new / old)


def _resampled(profile: Profile, rng: np.random.Generator) -> np.ndarray:
    return resampled_medians([bootstrap_medians(launch.timings.samples_ns, DRAWS, rng) for launch in profile.launches], rng)
