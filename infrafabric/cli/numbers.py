"""Argument types for numbers."""

from __future__ import annotations

import argparse
import math


def finite(text: str) -> float:
    """Parse a finite number.

    Raises:
        argparse.ArgumentTypeError: the text is not a finite number.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number")
    return value


def not_negative(text: str) -> float:
    """Parse a finite number of at least 0.

    Raises:
        argparse.ArgumentTypeError: the text is not such a number.
    """
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 0 or more")
    return value
