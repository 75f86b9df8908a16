"""JSON on the bus: a strict reader, and the RFC 8785 canonical form that a signature covers.

Reader and writer share one rule for numbers, so that every signed message can be read back, and the canonical form of
every message read can be read again: a number means the nearest double (IEEE 754). Refused are numbers that no double
reaches, and integers that RFC 8785 would write with other digits, such as 2^53 + 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import rfc8785

from infrafabric.bus.refusal import Reason, Refused, quoted_value

MAX_BYTES = 262_144  # an SNS topic's default (Publish, "256 KiB"), message and attributes; SQS would carry 1 MiB
MAX_CONTENT_BYTES = 4 * 1024 * 1024  # of content kept in S3: what a function can hold beside its work
MAX_DEPTH = 128  # objects and arrays inside each other; keeps every reader's stack safe
MAX_INTEGER = 2**53 - 1  # up to here every integer is a double of its own (RFC 7493 2.2)

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
# Only these together order keys otherwise by UTF-16 (RFC 8785 3.2.3) than by code point (Python).
_SUPPLEMENTARY = re.compile("[\U00010000-\U0010ffff]")
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)  # possessive: no backtracking over a long string


def canonical(value: Any, *, inside: int = 0) -> bytes:
    """Return ``canonical_text`` in UTF-8."""
    return canonical_text(value, inside=inside).encode()


def canonical_text(value: Any, *, inside: int = 0) -> str:
    """Return the RFC 8785 form of dicts with str keys, lists, str, int, float, bool and None.

    Args:
        inside: number of objects and arrays that will surround the value.

    Raises:
        Refused: too-deep, bad-number, bad-text (a lone surrogate); oversized if the value cannot fit even in S3.
        TypeError: a type that JSON does not have.
    """
    if not _survey(value, MAX_DEPTH - inside):
        return _by_library(value)
    text = _ENCODER.encode(value)
    if text.isascii():
        return text
    if _SUPPLEMENTARY.search(text) and _ABOVE_SURROGATES.search(text):
        return _by_library(value)
    if _SURROGATE.search(text):
        raise _bad_text()
    return text


def quoted(text: str) -> str:
    """Return the RFC 8785 form of a string, not yet in UTF-8."""
    return _ENCODER.encode(text)


def loads(raw: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Parse JSON that all readers understand alike.

    Raises:
        Refused: oversized, not-json, too-deep, duplicate-key, bad-number, bad-text.
    """
    if len(raw) > max_bytes:
        raise _oversized(max_bytes)
    text = _decode(raw)
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    except Refused:
        _check_grammar(text)  # an error inside JSON matters only if the text is JSON
        raise
    if "\\u" in text:  # only an escape brings half a surrogate pair through UTF-8
        canonical(value)
    return value


def _decode(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise Refused(
            Reason.NOT_JSON, "the text begins with a byte order mark, which JSON does not have (RFC 8259 8.1)"
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Refused(Reason.NOT_JSON, f"byte {error.start} is not UTF-8: JSON is UTF-8 (RFC 8259 8.1)") from None


def _survey(value: Any, max_depth: int) -> bool:
    """Refuse values that must not be signed. Returns True if Python's encoder writes the numbers as RFC 8785 does."""
    plain = True
    level = [value]
    for depth in range(1, max_depth + 2):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                continue
            if kind is dict or kind is list:
                if depth > max_depth:
                    raise _too_deep()
                below.extend(_inside(item))
            elif kind is int:
                if not -MAX_INTEGER <= item <= MAX_INTEGER:
                    _double_of(item)
                    plain = False
            elif kind is float:
                if not math.isfinite(item):
                    raise _bad_number(repr(item))
                plain = plain and abs(item) >= 1e-4 and not item.is_integer()  # then repr has no exponent and no .0
            elif kind is not bool and item is not None:
                raise TypeError(f"{kind.__name__} is not a JSON type: use dict, list, str, int, float, bool or None")
        if not below:
            break
        if len(below) > MAX_CONTENT_BYTES:  # a list that holds itself twice doubles at each level
            raise _oversized(MAX_CONTENT_BYTES)
        level = below
    return plain


def _inside(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    if isinstance(item, list):
        return item
    for key in item:
        if type(key) is not str:
            raise TypeError(f"{quoted_value(key)} cannot name a member: JSON object keys are strings")
    return item.values()


def _by_library(value: Any) -> str:
    try:
        return rfc8785.dumps(_with_doubles(value)).decode()
    except UnicodeEncodeError:  # from a key, when it is sorted
        raise _bad_text() from None
    except rfc8785.CanonicalizationError:  # numbers and types are surveyed, so it is a string
        raise _bad_text() from None


def _with_doubles(value: Any) -> Any:
    """Return the value with its large integers as doubles: the library writes no others."""
    if isinstance(value, dict):
        return {name: _with_doubles(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_doubles(inner) for inner in value]
    return _double_of(value) if type(value) is int and not -MAX_INTEGER <= value <= MAX_INTEGER else value


def _double_of(integer: int) -> float:
    """Return the double of a large integer, if RFC 8785 writes it with the integer's own digits."""
    try:
        value = float(integer)
    except OverflowError:
        raise _bad_number("an integer of many digits") from None
    if Decimal(repr(value)) != integer:
        raise _bad_number(str(integer) if abs(integer) < 10**80 else "an integer of many digits")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names: set[str] = set()
        twice = next(name for name, _ in pairs if name in names or names.add(name))
        raise Refused(Reason.DUPLICATE_KEY, f"member {quoted_value(twice)} occurs more than once in one object")
    return members


def _int(literal: str) -> int | float:
    if len(literal) <= 17:
        value = int(literal)
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
    return _float(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _bad_number(literal)
    if abs(value) > MAX_INTEGER:  # below, an integer and its double have the same digits
        exact = Decimal(literal)
        if exact != Decimal(repr(value)) and exact == exact.to_integral_value():
            raise _bad_number(literal)
    return value


def _constant(literal: str) -> float:
    raise _bad_number(literal)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant)


def _check_grammar(text: str) -> None:
    try:
        json.loads(text, parse_int=str)  # str: int() refuses thousands of digits
    except json.JSONDecodeError as error:
        raise _not_json(error) from None


def _check_depth(text: str) -> None:
    depth = deepest = 0
    for match in _STRUCTURE.finditer(text):
        sign = match[0]
        if sign[0] != '"':
            depth += 1 if sign in "[{" else -1
            deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise _too_deep() if depth == 0 else Refused(Reason.NOT_JSON, "brackets do not pair")


def _not_json(error: json.JSONDecodeError) -> Refused:
    return Refused(Reason.NOT_JSON, f"{error.msg} at character {error.pos}")


def _bad_number(literal: str) -> Refused:
    allowed = "no double, or an integer that its double changes: send the number as a string"
    return Refused(Reason.BAD_NUMBER, f"{quoted_value(literal)[1:-1]}: {allowed}")


def _bad_text() -> Refused:
    return Refused(Reason.BAD_TEXT, "a string holds half a surrogate pair, which is not a Unicode character")


def _too_deep() -> Refused:
    return Refused(Reason.TOO_DEEP, f"objects and arrays are nested more than {MAX_DEPTH} deep")


def _oversized(max_bytes: int) -> Refused:
    return Refused(Reason.OVERSIZED, f"more than {max_bytes} bytes: move large content to S3 (claim check)")
