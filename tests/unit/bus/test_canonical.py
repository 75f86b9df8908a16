from __future__ import annotations

import json
import math
import struct
from contextlib import suppress

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from infrafabric.bus.canonical import MAX_BYTES, MAX_DEPTH, MAX_INTEGER, canonical, loads, quoted
from infrafabric.bus.refusal import Reason, Refused

characters = st.characters(exclude_categories=("Cs",))
# Names where the two orders differ (U+E000-U+FFFF against what is above U+FFFF) must come up often.
names = st.text(characters | st.sampled_from("\ue000\ufb33\uffff😀𐀀aé"), max_size=4)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not (x.is_integer() and MAX_INTEGER < abs(x) < 1e21)
)
# What repr and RFC 8785 write alike, with its edges.
everyday = st.floats(1e-5, 1e-3) | st.floats(0, 100) | st.floats(1e15, 9e15)
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | floats | names
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
with_everyday_numbers = st.recursive(
    st.integers(-MAX_INTEGER, MAX_INTEGER) | everyday | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
)


def reason_of(raw: bytes) -> Reason:
    with pytest.raises(Refused) as refusal:
        loads(raw)
    assert refusal.value.detail.isascii(), "a detail can be printed anywhere"
    assert "\n" not in refusal.value.detail
    return refusal.value.reason


@given(values | with_everyday_numbers)
@example([0.0001, 0.00009999999999999999, 9007199254740991.0, -0.5, 1.0, 0.1])
@example({"\ufb33": 1, "😀": 2})
@example({"a": "\ufb33", "😀": "\x7f\u2028\x00"})
def test_the_canonical_form_is_the_one_of_the_rfc8785_library(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(values)
def test_whatever_can_be_signed_can_be_read_back_and_signed_the_same(value):
    raw = canonical(value)
    assert loads(raw) == value
    assert canonical(loads(raw)) == raw
    assert canonical(loads(json.dumps(value).encode())) == raw, "escapes and white space change nothing"


@given(names)
def test_a_string_is_quoted_as_in_its_canonical_form(text):
    assert quoted(text).encode() == canonical(text)


@pytest.mark.parametrize(
    ("bits", "form"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_doubles_are_written_as_rfc_8785_does(bits, form):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(value) == form.encode()


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        2**53 + 1,
        -(2**53) - 1,
        10**23 + 1,
        pytest.param(10**5000, id="10**5000"),
    ],
)
def test_a_number_that_no_reader_would_accept_is_not_signed(value):
    with pytest.raises(Refused) as refusal:
        canonical({"n": [value]})
    assert refusal.value.reason is Reason.BAD_NUMBER


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, {"set": {1}}, (1, 2), Reason.STALE])
def test_what_json_does_not_have_is_not_signed(value):
    with pytest.raises(TypeError, match="JSON"):
        canonical({"value": value})


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["\ud800", 1.5], {"\ud800": 1.5, "b": 1}])
def test_half_a_surrogate_pair_is_neither_signed_nor_read(value):
    with pytest.raises(Refused) as refusal:
        canonical(value)
    assert refusal.value.reason is Reason.BAD_TEXT
    assert reason_of(json.dumps(value).encode()) is Reason.BAD_TEXT


def test_nesting_ends_at_the_same_depth_for_writer_and_reader():
    deepest: list = []
    for _ in range(MAX_DEPTH - 1):
        deepest = [deepest]
    assert loads(canonical(deepest)) == deepest
    with pytest.raises(Refused) as refusal:
        canonical([deepest])
    assert refusal.value.reason is Reason.TOO_DEEP
    with pytest.raises(Refused):
        canonical(deepest, inside=1)
    assert reason_of(json.dumps([deepest]).encode()) is Reason.TOO_DEEP


def test_a_list_that_holds_itself_is_refused_and_not_followed_forever():
    endless: list = []
    endless += [endless]
    with pytest.raises(Refused):
        canonical(endless)
    endless += [endless]
    with pytest.raises(Refused):
        canonical(endless)


def test_brackets_in_a_string_are_no_nesting():
    raw = json.dumps(['[{"\\' * 1000, {}]).encode()
    assert canonical(loads(raw)) == raw.replace(b", ", b",")


PLAIN = ("1.0", "1e3", "-0", "-0.0", "4.50", "2e-3", "1E30", "0e5", "1e20", "9007199254740992", "-9007199254740992")
ROUNDED = (
    "333333333.33333329",  # RFC 8785, 3.2.2.3
    "0.10000000000000001",
    "1.0000000000000001",
    "3.141592653589793238462643383279",
    "1e-400",
    "0.1e-99999999999999999999999",
    "9007199254740993.5",
)


@pytest.mark.parametrize("literal", [*PLAIN, *ROUNDED, "1" + 300 * "0"], ids=lambda literal: literal[:30])
def test_a_number_means_the_nearest_double(literal):
    assert canonical(loads(literal.encode())) == rfc8785.dumps(float(literal))


CHANGED = (
    "9007199254740993",
    "-9007199254740993",
    "9007199254740993.0",
    "333333333333333333333",
    "12345678901234567891e3",
)
BEYOND = ("NaN", "-Infinity", "1e400", "-1e400", "9" * 5000)


@pytest.mark.parametrize("literal", [*CHANGED, *BEYOND], ids=lambda literal: literal[:30])
def test_an_integer_that_its_double_changes_is_refused_and_a_number_beyond_all_doubles(literal):
    assert reason_of(f'{{"n": {literal}}}'.encode()) is Reason.BAD_NUMBER


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e20)
@example(2.0**53)
@example(-999999999999999868928.0)
def test_every_double_can_be_signed_and_read_again(value):
    raw = canonical(value)
    assert raw == rfc8785.dumps(value)
    assert canonical(loads(raw)) == raw


@given(st.integers(2**53, 10**25) | st.integers(-(10**25), -(2**53)))
@example(2**53 + 2)
def test_writer_and_reader_refuse_the_same_large_integers(value):
    def form(make):
        try:
            return make()
        except Refused as refusal:
            return refusal.reason

    assert form(lambda: canonical(value)) == form(lambda: canonical(loads(str(value).encode())))


@pytest.mark.parametrize("raw", ['{"a":1,"a":1}', '[{"b":{"a":1,"\\u0061":2}}]'])
def test_a_member_given_twice_is_refused_at_any_depth(raw):
    assert reason_of(raw.encode()) is Reason.DUPLICATE_KEY


NO_JSON = (b"", b"{", b"{} {}", b'{"a":1,}', b"{'a':1}", b'"\t"', b"\x00", b'{"a":1,"a":2', b'{"a":NaN', b"[" * 100_000)
NO_UTF8 = (b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"[" * 200 + b'"' * 1001)


@pytest.mark.parametrize("raw", [*NO_JSON, *NO_UTF8], ids=lambda raw: ascii(raw[:20]))
def test_bytes_that_are_no_json_are_that_before_anything_else(raw):
    assert reason_of(raw) is Reason.NOT_JSON


def test_size_is_judged_before_the_rest_is_looked_at():
    assert loads(b"1".ljust(MAX_BYTES)) == 1
    assert reason_of(b"{".ljust(MAX_BYTES + 1)) is Reason.OVERSIZED


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\u0d819.e-truefalsn '), max_size=40).map(str.encode))
def test_any_bytes_are_read_as_any_reader_does_or_refused(raw):
    with suppress(Refused):
        assert canonical(loads(raw)) == canonical(json.loads(raw))
