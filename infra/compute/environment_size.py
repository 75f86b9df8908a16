"""Size of a function's environment variables, checked in the preview: Lambda allows 4 KB and refuses only at creation.

The values of many variables are ARNs and URLs that AWS makes, unknown in the preview of a new stack. Each counts with a
bound then, and with its own length as soon as it is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi import Input, Output
from pulumi.output import contains_unknowns

ALLOWED_BYTES = 4096  # Lambda quotas, "Environment variable size"
# Longest value that AWS makes: a secret's ARN in the region with the longest name takes 130.
UNKNOWN_VALUE_BYTES = 160
_LARGEST_SHOWN = 3
# Settings that a variable's length depends on.
SETTINGS = {
    "CLIENTS_BY_KEY_ID": "api.clients",
    "CLIENT_LIMITS": "api.clients",
    "MODEL_BASE_URL": "model.baseUrl",
    "PRICE_TABLE": "model.prices",
}


def check_size(function: str, variables: Mapping[str, Input[str]], longest: Mapping[str, int]) -> None:
    """Refuse the deployment of variables that Lambda would refuse, in the preview as well.

    Args:
        function: name of the function, for the error.
        longest: bound of a variable's length while its value is unknown; ``UNKNOWN_VALUE_BYTES`` for the others.
    """

    def check(values: Any) -> None:
        known = values if isinstance(values, dict) else {}
        require_small(function, {name: known.get(name) for name in variables}, longest)

    # The program ends with the error of an output that nothing else reads.
    Output.all(**variables).apply(check, run_with_unknowns=True)


def require_small(function: str, variables: Mapping[str, Any], longest: Mapping[str, int]) -> None:
    """Raise if ``variables`` may be too large; a value that is None or unknown counts with its bound.

    Raises:
        pulumi.RunError: one line with the size, the allowed size, and the largest variables with their settings.
    """
    sizes = {name: _bytes(name, value, longest) for name, value in variables.items()}
    total = len("{}") + sum(sizes.values()) + max(len(sizes) - 1, 0)  # with the commas between
    if total <= ALLOWED_BYTES:
        return
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_LARGEST_SHOWN]
    named = ", ".join(f"{name} {sizes[name]:,}{_setting(name)}" for name in largest)
    raise pulumi.RunError(
        f"function {function}: its environment variables take {total:,} bytes as JSON, and Lambda allows "
        f"{ALLOWED_BYTES:,}; largest: {named}; shorten these settings or remove entries"
    )


def _bytes(name: str, value: Any, longest: Mapping[str, int]) -> int:
    """Return the bytes of a variable in the JSON object that Lambda measures: quotes in a value count twice."""
    if value is None or contains_unknowns(value):
        return len(f'"{name}":""') + longest.get(name, UNKNOWN_VALUE_BYTES)
    return len(f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}".encode())


def _setting(name: str) -> str:
    return f" ({SETTINGS[name]})" if name in SETTINGS else ""
