"""Whose sessions a request is about: by the id of its API key, or by the IAM role or user that signed it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.api.owners import Callers, Operator, Owner
from infrafabric.api.problems import ProblemError
from infrafabric.environment import SpendLimits

SMALL, LARGE, IAM = (SpendLimits(max_budget_usd=n, daily_cap_usd=n) for n in (1, 100, 5))
CALLERS = Callers(
    clients_by_key_id={"k1": "default", "k2": "partner", "k3": "partner"},
    client_limits={"default": LARGE, "partner": SMALL},
    iam_limits=IAM,
)
ROLE = "arn:aws:sts::123456789012:assumed-role/Researcher/ada@example.org"


@pytest.mark.parametrize(("key_id", "client", "limits"), [("k1", "default", LARGE), ("k3", "partner", SMALL)])
def test_a_key_leads_to_its_client_and_the_clients_limits(key_id: str, client: str, limits: SpendLimits) -> None:
    assert CALLERS.of_request("/sessions", api_key_id=key_id, user_arn=None) == Owner(name=client, limits=limits)


@pytest.mark.parametrize(
    ("arn", "owner"),
    [
        (ROLE, "iam:123456789012:role/Researcher"),
        ("arn:aws:sts::123456789012:assumed-role/Researcher/another", "iam:123456789012:role/Researcher"),
        ("arn:aws:sts::210987654321:assumed-role/Researcher/ada", "iam:210987654321:role/Researcher"),
        ("arn:aws-cn:iam::123456789012:user/ada", "iam:123456789012:user/ada"),
        ("arn:aws:iam::123456789012:user/team/boats/ada", "iam:123456789012:user/ada"),
        ("arn:aws:iam::123456789012:root", "iam:123456789012:root"),
    ],
)
def test_who_signs_is_the_role_or_user_and_never_the_session(arn: str, owner: str) -> None:
    assert CALLERS.of_request("/iam/sessions", api_key_id=None, user_arn=arn) == Owner(name=owner, limits=IAM)


def test_the_path_and_not_the_callers_choice_decides_what_counts() -> None:
    by_key = CALLERS.of_request("/sessions/{id}", api_key_id="k1", user_arn=ROLE)
    signed = CALLERS.of_request("/iam/sessions/{id}", api_key_id="k1", user_arn=ROLE)
    assert [by_key.name, signed.name] == ["default", "iam:123456789012:role/Researcher"]
    assert isinstance(CALLERS.of_request("/operator/sessions", api_key_id="k1", user_arn=ROLE), Operator)


@pytest.mark.parametrize(
    ("path", "key_id", "arn"),
    [
        ("/sessions", "k9", None),
        ("/sessions", None, ROLE),
        ("/sessions", "", None),
        ("/iam/sessions", "k1", None),
        ("/iam/sessions", None, "arn:aws:sts::123456789012:federated-user/ada"),
        ("/iam/sessions", None, "arn:aws:sts::123456789012:assumed-role/Researcher"),
        ("/iamsessions", None, ROLE),
    ],
)
def test_an_unknown_caller_is_refused(path: str, key_id: str | None, arn: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        CALLERS.of_request(path, api_key_id=key_id, user_arn=arn)
    assert (refused.value.status, refused.value.slug) == (403, "unknown-caller")


def test_a_key_whose_client_has_no_limits_is_refused() -> None:
    callers = Callers(clients_by_key_id={"k1": "gone"}, client_limits={}, iam_limits=IAM)
    with pytest.raises(ProblemError, match="owns no sessions"):
        callers.of_request("/sessions", api_key_id="k1", user_arn=None)


NAMES = st.text(string.ascii_letters + string.digits + "_+=,.@-", min_size=1, max_size=64)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True), NAMES)
def test_no_client_is_called_like_a_role_or_user(client: str, name: str) -> None:
    caller = CALLERS.of_request("/iam/sessions", api_key_id=None, user_arn=f"arn:aws:iam::123456789012:user/{name}")
    assert caller.name not in (client, None)
