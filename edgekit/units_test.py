"""Figures keep three digits in the unit that reads best."""

import pytest

from edgekit.units import digits, duration, share, size


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "unknown"), (0, "0 µs"), (0.0125, "12.5 µs"), (1, "1 ms"), (123.4, "123 ms"), (61_000, "61 s"), (1e-9, "0 µs")],
)
def test_durations(milliseconds, text):
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "unknown"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (25e9, "25 GB"), (-2e3, "-2 kB")],
)
def test_sizes_are_decimal(count, text):
    assert size(count) == text


def test_shares_keep_a_decimal_while_small():
    assert (share(0.5), share(0.0123), share(0)) == ("50%", "1.2%", "0.0%")


def test_digits():
    assert [digits(v) for v in (12345.6, 99.94, 0.00123, 0.0001)] == ["12346", "99.9", "0.00123", "0"]
