from __future__ import annotations

import json
import string

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.envelope import Citation, Performative, compose, parse, sign, signed_form
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.uris import new_message_id
from infrafabric.bus.verify import verify

AT = 1_764_000_000_000
COORDINATOR, H01 = "if://agent/coordinator", "if://agent/h01"

words = st.text(st.sampled_from(string.ascii_letters + string.digits), min_size=1, max_size=8)
names = st.lists(words, min_size=1, max_size=3).map("/".join)
characters = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
contents = st.dictionaries(
    characters, st.recursive(st.integers(-(2**53) + 1, 2**53 - 1) | characters | st.booleans(), st.lists), max_size=4
)
no_spaces = "".join(map(chr, [*range(33), 127]))
urls = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=no_spaces), min_size=1, max_size=20)
drafts = st.builds(
    compose,
    performative=st.sampled_from(Performative),
    sender=st.just(COORDINATOR),
    receiver=names.map("if://agent/{}".format),
    conversation_id=names.map("if://conversation/{}".format),
    message_id=st.uuids(version=4).map("if://message/{}".format),
    timestamp=st.just(AT),
    content=contents,
    citation=st.builds(Citation, urls.map("x:{}".format), st.just("sha256:" + "0f" * 32)),
    reply_by=st.none() | st.integers(AT + 1, AT + 14 * 86_400_000),
    in_reply_to=st.none() | st.uuids(version=4).map("if://message/{}".format),
)


@given(message=drafts)
def test_what_is_signed_is_the_rfc_8785_form_of_the_message_without_its_signature(message):
    assert signed_form(message) == rfc8785.dumps(message)


@given(message=drafts)
def test_a_signed_message_is_read_as_it_was_composed(signer, registry, message):
    raw = sign(message, signer)
    for form in (raw, raw.decode(), json.dumps(json.loads(raw), indent=1)):
        envelope = verify(form, registry=registry, now_ms=AT, receiver=message["receiver"])
        assert envelope.signed == rfc8785.dumps(message)
        for name in ("performative", "sender", "conversation_id", "message_id", "timestamp", "content"):
            assert getattr(envelope, name) == message[name]
        assert (envelope.reply_by, envelope.in_reply_to) == (message.get("reply_by"), message.get("in_reply_to"))


@given(message=drafts, data=st.data())
def test_no_byte_of_a_signed_message_can_be_changed(signer, registry, message, data):
    raw = bytearray(sign(message, signer))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        envelope = verify(bytes(raw), registry=registry, now_ms=AT)
    except Refused:
        return
    # A space for a space, or an escape that spells the same: JSON has many ways to write one message.
    assert envelope.signed == rfc8785.dumps(message)


def test_the_wire_form_is_canonical_json(signer, draft):
    raw = sign(draft(content={"text": "é", "n": 1.0}), signer)
    assert raw == rfc8785.dumps(json.loads(raw))


def test_characters_that_sqs_refuses_travel_as_escapes(signer, draft):
    content = {"\ufffe": "\uffff", "fine": "\ufffd"}
    raw = sign(draft(content=content), signer)
    assert b"\\ufffe" in raw
    assert not set("\ufffe\uffff") & set(raw.decode())
    assert parse(raw).content == content


def test_a_signer_signs_only_as_itself(signer, draft):
    with pytest.raises(Refused, match="bad-principal: if://agent/coordinator cannot sign as sender if://agent/h01"):
        sign(draft(sender=H01), signer)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"receiver": "h01"}, Reason.BAD_PRINCIPAL),
        ({"receiver": "if://agent/h01\n"}, Reason.BAD_PRINCIPAL),
        ({"receiver": "if://agent/" + "h" * 246}, Reason.BAD_PRINCIPAL),
        ({"timestamp": 1.0}, Reason.BAD_TIMESTAMP),
        ({"timestamp": True}, Reason.BAD_TIMESTAMP),
        ({"reply_by": AT}, Reason.BAD_REPLY_BY),
        ({"content": {"n": float("nan")}}, Reason.BAD_NUMBER),
        ({"content": {"text": "\ud800"}}, Reason.BAD_TEXT),
        ({"citation": Citation("https://x/\ud800", "sha256:" + "ab" * 32)}, Reason.BAD_CITATION),
        ({"citation": Citation("https://x/", "sha256:ab")}, Reason.BAD_CITATION),
        ({"content": {"text": "x" * 262_144}}, Reason.OVERSIZED),
    ],
    ids=lambda value: str(value)[:60].encode("ascii", "replace").decode(),
)
def test_what_a_reader_would_refuse_is_not_signed(signer, draft, changes, reason):
    with pytest.raises(Refused) as refusal:
        sign(draft(**changes), signer)
    assert refusal.value.reason is reason


def test_a_signed_message_is_not_signed_again(signer, draft):
    with pytest.raises(Refused, match=r"unknown-member: .*'signature'"):
        sign(json.loads(sign(draft(), signer)), signer)


def test_reading_gives_the_depth_that_signing_allows(signer, draft):
    deep: dict = {}
    for _ in range(126):
        deep = {"in": deep}
    assert parse(sign(draft(content=deep), signer)).content == deep
    with pytest.raises(Refused, match="too-deep"):
        sign(draft(content={"in": deep}), signer)


def test_an_error_shows_a_piece_of_what_was_found_and_stays_printable(draft, signer):
    with pytest.raises(Refused) as refusal:
        sign(draft(receiver="é\n" * 5000), signer)
    assert refusal.value.detail.isascii()
    assert "\n" not in refusal.value.detail
    assert len(refusal.value.detail) < 300


def test_every_message_gets_an_id_of_its_own(signer, draft):
    ids = {new_message_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(parse(sign(draft(message_id=found), signer)).message_id == found for found in ids)
