"""Text that others wrote, for a terminal or a log: nothing in it moves the cursor or imitates another line."""

from __future__ import annotations

import json
import re
from typing import Any

# C0 without tab and line feed, DEL and C1 (ECMA-48), line and paragraph separators, and what reorders text (Unicode
# Standard Annex 9, "Directional Formatting Characters").
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def printable(text: str) -> str:
    """Return the text without control characters; tabs and line feeds stay."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """Return the text without control characters, as one line: it cannot pretend to be a line of its own."""
    return printable(_BREAKS.sub(" ", text))


def json_text(document: Any) -> str:
    """Return the indented JSON of a document with every control character escaped, which is the same document."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(document, indent=2, ensure_ascii=False))
