"""Numbers as arguments of a command."""

from __future__ import annotations

import argparse
import math


def finite(text: str) -> float:
    """A number that JSON knows. Raises ``argparse.ArgumentTypeError``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number")
    return value


def not_negative(text: str) -> float:
    """Raises ``argparse.ArgumentTypeError``."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 0 or more")
    return value
