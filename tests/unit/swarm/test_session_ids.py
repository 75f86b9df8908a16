"""Session ids: two owners may use the same id, and nobody sees the internal id of a session."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.structure import LONGEST_NAME
from infrafabric.bus.uris import conversation_uri
from infrafabric.swarm import session_ids
from infrafabric.swarm.session_ids import client_id, internal_id
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import SessionItem
from tests.unit.swarm.orders import an_order

CLIENT_IDS = st.from_regex(session_ids.CLIENT_ID, fullmatch=True)
OWNERS = st.sampled_from(["default", "partner", "iam:123456789012:role/Researcher", "iam:123456789012:user/ada"])


@given(CLIENT_IDS, OWNERS)
def test_an_owner_gets_back_the_id_that_it_gave(given_id: str, owner: str) -> None:
    assert client_id(internal_id(given_id, owner)) == given_id


@given(CLIENT_IDS, CLIENT_IDS, OWNERS, OWNERS)
def test_two_sessions_share_an_internal_id_only_if_owner_and_id_are_equal(
    one: str, other: str, owner: str, another: str
) -> None:
    assert (internal_id(one, owner) == internal_id(other, another)) == ((one, owner) == (other, another))


@given(CLIENT_IDS, OWNERS)
def test_an_internal_id_is_no_id_that_a_client_may_send(given_id: str, owner: str) -> None:
    made = internal_id(given_id, owner)
    assert session_ids.INTERNAL_ID.fullmatch(made)
    assert not session_ids.CLIENT_ID.fullmatch(made)
    assert len(conversation_uri(made)) <= LONGEST_NAME


def test_an_internal_id_never_changes_because_stored_sessions_have_it() -> None:
    assert internal_id("report-42", "default") == "report-42.37a8eec1ce"


def test_an_order_and_its_session_carry_the_owner() -> None:
    order = an_order(owner="default")
    assert Order.from_event(order.as_event()).owner == "default"
    item = SessionItem.of(order, digest="d", model="m", cap_partition="cap#default#2026-11-30#us-east-1")
    assert SessionItem.read(item.as_item()) == item
    assert (item.as_item()["owner"], item.owner) == ("default", "default")
