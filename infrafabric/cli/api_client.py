"""The API as a client sees it: JSON in, JSON out, problems as errors.

It has two entrances (docs/adr/0003-key-or-sigv4.md): by key, and below ``/iam`` by a signature with AWS credentials.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class ApiError(Exception):
    """What the API, or the way to it, had against a request. One line, ready for a user."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Entrance(Protocol):
    """How the API knows who asks."""

    path: ClassVar[str]  # where it is, below the API's address
    when_forbidden: ClassVar[str]  # what to look at

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """What a request says of who sends it."""
        ...


@dataclass(frozen=True)
class ByKey:
    """``key`` is the stack's output ``api_key``.

    Raises:
        ApiError: when made with what cannot be one.
    """

    key: str
    path: ClassVar[str] = ""
    when_forbidden: ClassVar[str] = "is FABRIC_API_KEY the output api_key of this stack?"

    def __post_init__(self) -> None:
        if not (self.key.isascii() and self.key.isprintable()):
            raise ApiError("FABRIC_API_KEY holds what no key holds: it must be the stack's output api_key")

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:  # noqa: ARG002  an entrance's
        return {"x-api-key": self.key}


@dataclass(frozen=True)
class BySignature:
    """SigV4 with AWS credentials, whose owner may ``execute-api:Invoke`` below ``/iam``."""

    credentials: Any  # botocore's
    region: str  # that of the API, which a domain of one's own does not tell
    path: ClassVar[str] = "/iam"
    when_forbidden: ClassVar[str] = "may these AWS credentials execute-api:Invoke, and is the API in their region?"

    @classmethod
    def of_environment(cls, url: str) -> BySignature:
        """With what the AWS CLI would sign with.

        Raises:
            ApiError: there are no credentials, or no region.
        """
        import boto3  # noqa: PLC0415  only who signs needs it
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        try:
            session = boto3.Session()
            credentials, named = session.get_credentials(), _REGION.search(url)
        except BotoCoreError as error:  # a profile that is not there, say
            raise ApiError(
                f"FABRIC_API_KEY is not set, and AWS credentials cannot be had to sign with: {error}"
            ) from None
        region = named[1] if named else session.region_name
        if credentials is None:
            raise ApiError(
                "FABRIC_API_KEY is not set, and there are no AWS credentials to sign with instead: set it to the "
                "stack's output api_key (pulumi stack output api_key --show-secrets), or log in to AWS"
            )
        if region is None:
            raise ApiError(
                "AWS_REGION is not set: requests are signed for the API's region, which its URL does not say"
            )
        return cls(credentials, region)

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        request = AWSRequest(method, url, data=body)
        try:
            SigV4Auth(self.credentials, "execute-api", self.region).add_auth(request)
        except BotoCoreError as error:  # a login that is over, say
            raise ApiError(f"the request cannot be signed: {error}") from None
        return dict(request.headers)


_REGION = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")


@dataclass(frozen=True)
class ApiClient:
    """``url`` is the stack's output ``api_url``.

    Raises:
        ApiError: when made with what cannot be one.
    """

    url: str
    entrance: Entrance

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ApiError(f"FABRIC_API_URL = {self.url!r}: it must be https://…, the stack's output api_url")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. ``path`` is quoted. Raises :class:`ApiError` with the problem document's detail."""
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}{self.entrance.path}{path}"
        try:
            headers = {**self.entrance.headers(method, url, data), "content-type": "application/json"}
            request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ApiError(self._detail(error), error.code) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            raise ApiError(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None
        except ValueError as error:
            raise ApiError(f"{self.url} is not the API of a stack, whose output api_url is: {error}") from None

    def _detail(self, error: urllib.error.HTTPError) -> str:
        raw = error.read()
        try:
            problem = json.loads(raw)
            said = str(problem.get("detail") or problem.get("message") or problem)
        except (ValueError, AttributeError):
            said = f"the API answered {error.code}"
        return f"{said} (403: {self.entrance.when_forbidden})" if error.code == 403 else said
