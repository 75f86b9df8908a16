"""Callers of the API: the owner of a request's sessions, from what API Gateway says of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infrafabric.api.paths import IAM_PATH, OPERATOR_PATH
from infrafabric.api.problems import ProblemError
from infrafabric.environment import ApiEnvironment, SpendLimits
from infrafabric.swarm import session_ids
from infrafabric.swarm.shapes.session_item import SessionItem

# Role and user names are unique in an account, whatever their paths; STS leaves the path of a role out.
_ROLE = re.compile(r"arn:[a-z-]+:sts::(\d{12}):assumed-role/([\w+=,.@-]{1,64})/[^/]+", re.ASCII)
_USER = re.compile(r"arn:[a-z-]+:iam::(\d{12}):user/(?:.*/)?([\w+=,.@-]{1,64})", re.ASCII)
_ROOT = re.compile(r"arn:[a-z-]+:iam::(\d{12}):root")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Caller that works with its own sessions, by its own ids."""

    name: str  # of a client, or iam:<account>:role/<name>, iam:<account>:user/<name>, iam:<account>:root
    limits: SpendLimits

    def internal_id(self, text: str) -> str | None:
        """Return the internal id of this owner's session ``text``, or None if the text cannot be an id."""
        return session_ids.internal_id(text, self.name) if session_ids.CLIENT_ID.fullmatch(text) else None

    def may_see(self, session: SessionItem) -> bool:
        """Tell whether a session is this caller's: two owners' internal ids may be equal by their hashes."""
        return session.owner == self.name

    @staticmethod
    def shown_id(session_id: str) -> str:
        """Return an internal id as this caller knows it."""
        return session_ids.client_id(session_id)


@dataclass(frozen=True)
class Operator:
    """Caller that works with the sessions of all owners, by their internal ids, and starts none."""

    name: None = None

    @staticmethod
    def internal_id(text: str) -> str | None:
        """Return ``text``, or None if the text cannot be an internal id."""
        return text if session_ids.INTERNAL_ID.fullmatch(text) else None

    @staticmethod
    def may_see(session: SessionItem) -> bool:  # noqa: ARG004  the same question as to an owner
        """Tell that an operator sees every session."""
        return True

    @staticmethod
    def shown_id(session_id: str) -> str:
        """Return the internal id itself."""
        return session_id


Caller = Owner | Operator


@dataclass(frozen=True, kw_only=True)
class Callers:
    """The callers that a stack knows."""

    clients_by_key_id: Mapping[str, str]
    client_limits: Mapping[str, SpendLimits]
    iam_limits: SpendLimits

    @classmethod
    def of(cls, env: ApiEnvironment) -> Callers:
        """Return the callers that the function's environment names."""
        return cls(clients_by_key_id=env.clients_by_key_id, client_limits=env.client_limits, iam_limits=env.iam_limits)

    def of_event(self, event: Mapping[str, Any]) -> Caller:
        """Return the caller of an event of API Gateway; errors as ``of_request``."""
        identity = event["requestContext"]["identity"]
        return self.of_request(event["resource"], api_key_id=identity.get("apiKeyId"), user_arn=identity.get("userArn"))

    def of_request(self, resource_path: str, *, api_key_id: str | None, user_arn: str | None) -> Caller:
        """Return the caller of a request that API Gateway has authorized.

        Args:
            resource_path: path of the API's resource, which decides what kind of caller it is. A path that needs a
                signature ignores a key, and the other way round.
            api_key_id: id of the API key; API Gateway sets it where a key is required.
            user_arn: ARN of the signed request's caller; API Gateway sets it where a signature is required.

        Raises:
            ProblemError: 403, the caller is unknown.
        """
        if _is_below(resource_path, OPERATOR_PATH):
            return Operator()
        if _is_below(resource_path, IAM_PATH):
            return Owner(name=_iam_owner(user_arn or ""), limits=self.iam_limits)
        client = self.clients_by_key_id.get(api_key_id or "")
        if client is None or client not in self.client_limits:
            raise _unknown_caller("this API key belongs to no client of the stack: use a key of its output api_keys")
        return Owner(name=client, limits=self.client_limits[client])


def _iam_owner(user_arn: str) -> str:
    """Return the owner for the ARN of a signed request's caller; a role's sessions are one owner.

    Raises:
        ProblemError: 403. The name of a federated user is of its own choice, so it is no identity.
    """
    if match := _ROLE.fullmatch(user_arn):
        return f"iam:{match[1]}:role/{match[2]}"
    if match := _USER.fullmatch(user_arn):
        return f"iam:{match[1]}:user/{match[2]}"
    if match := _ROOT.fullmatch(user_arn):
        return f"iam:{match[1]}:root"
    raise _unknown_caller("sessions belong to IAM roles and users: sign the request with the credentials of one")


def _unknown_caller(detail: str) -> ProblemError:
    return ProblemError(403, "unknown-caller", "The caller owns no sessions", detail)


def _is_below(path: str, prefix: str) -> bool:
    return path.startswith(f"{prefix}/")
