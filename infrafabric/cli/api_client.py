"""HTTP client of the API: JSON in, JSON out, problem documents as errors.

The API authenticates by API key, and below ``/iam`` and ``/operator`` by SigV4 (docs/adr/0003-key-or-sigv4.md).
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from infrafabric.api.paths import IAM_PATH, OPERATOR_PATH
from infrafabric.loopback import is_loopback

_GATEWAYS_TYPE = "about:blank"  # type of a problem document that says no more than its HTTP status (RFC 9457)


class ApiError(Exception):
    """Refused or undelivered request; the text is a single line for the user."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Authentication(Protocol):
    """Authentication of requests."""

    @property
    def path(self) -> str:
        """Prefix of the paths that accept this authentication."""
        ...

    @property
    def when_forbidden(self) -> str:
        """Hint for a 403 of the gateway."""
        ...

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Return the authentication headers of a request."""
        ...


@dataclass(frozen=True)
class ApiKeyAuthentication:
    """Authentication by API key, the stack's output ``api_key``.

    Raises:
        ApiError: the text cannot be an API key.
    """

    key: str
    path: str = ""
    when_forbidden: str = "is FABRIC_API_KEY the output api_key of this stack?"

    def __post_init__(self) -> None:
        if not (self.key.isascii() and self.key.isprintable()):
            raise ApiError("FABRIC_API_KEY is not an API key: set it to the stack's output api_key")

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:  # noqa: ARG002  the Protocol's arguments
        return {"x-api-key": self.key}


@dataclass(frozen=True)
class SigV4Authentication:
    """Authentication by SigV4 with AWS credentials that may ``execute-api:Invoke`` below ``path``."""

    credentials: Any  # botocore's
    region: str  # the API's region, which a custom domain does not contain
    path: str = IAM_PATH
    when_forbidden: str = "may these AWS credentials execute-api:Invoke, and is the API in their region?"

    @classmethod
    def of_environment(cls, url: str, path: str = IAM_PATH) -> SigV4Authentication:
        """Return the authentication with the AWS CLI's credentials.

        Args:
            path: ``OPERATOR_PATH`` for the sessions of all owners.

        Raises:
            ApiError: there are no credentials, or no region.
        """
        import boto3  # noqa: PLC0415  only signing needs the AWS SDK
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        cause = "--operator needs a signed request" if path == OPERATOR_PATH else "FABRIC_API_KEY is not set"
        key = (
            ""
            if path == OPERATOR_PATH
            else ("set FABRIC_API_KEY to the stack's output api_key (pulumi stack output api_key --show-secrets), or ")
        )
        try:
            session = boto3.Session()
            credentials, region_in_url = session.get_credentials(), _REGION.search(url)
        except BotoCoreError as error:  # such as a missing profile
            raise ApiError(f"{cause}, and no AWS credentials can be loaded for signing: {error}") from None
        region = region_in_url[1] if region_in_url else session.region_name
        if credentials is None:
            raise ApiError(f"{cause}, and there are no AWS credentials for signing: {key}log in to AWS")
        if region is None:
            raise ApiError("AWS_REGION is not set: set it to the API's region, which the URL does not contain")
        return cls(credentials, region, path)

    def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Return the signed headers of a request."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        request = AWSRequest(method, url, data=body)
        try:
            SigV4Auth(self.credentials, "execute-api", self.region).add_auth(request)
        except BotoCoreError as error:  # such as an expired login
            raise ApiError(f"the request cannot be signed: {error}") from None
        return dict(request.headers)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that follows no redirect: urllib would send the API key along, also to another host."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


_OPENER = _opener()
_REGION = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")


@dataclass(frozen=True)
class ApiClient:
    """Client of the API at ``url``, the stack's output ``api_url``.

    Raises:
        ApiError: the text is not an HTTP URL.
    """

    url: str
    authentication: Authentication

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ApiError(f"FABRIC_API_URL = {self.url!r}: set it to the stack's output api_url, https://…")
        if self.url.startswith("http://") and not is_loopback(self.url):
            raise ApiError(
                f"FABRIC_API_URL = {self.url!r}: over http everybody on the way can read the key; "
                "set it to the stack's output api_url, https://…"
            )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request. Returns the response's JSON; ``path`` is quoted already.

        Raises:
            ApiError: with the problem document's detail.
        """
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}{self.authentication.path}{path}"
        try:
            headers = {**self.authentication.headers(method, url, data), "content-type": "application/json"}
            request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
            with _OPENER.open(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ApiError(self._detail(error), error.code) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            raise ApiError(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None
        except ValueError as error:
            raise ApiError(
                f"{self.url} is not the API of a stack: set FABRIC_API_URL to the output api_url ({error})"
            ) from None

    def _detail(self, error: urllib.error.HTTPError) -> str:
        if 300 <= error.code < 400:
            place = error.headers.get("location", "another address")
            return f"{self.url} redirects to {place}, which gets no key: set FABRIC_API_URL to the output api_url"
        raw = error.read()
        try:
            problem = json.loads(raw)
            detail = str(problem.get("detail") or problem.get("message") or problem)
            of_gateway = problem.get("type", _GATEWAYS_TYPE) == _GATEWAYS_TYPE
        except (ValueError, AttributeError):
            detail, of_gateway = f"the API answered {error.code}", True
        return f"{detail} (403: {self.authentication.when_forbidden})" if error.code == 403 and of_gateway else detail
