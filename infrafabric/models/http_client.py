"""HTTP client of the model API that sends a request once more if an idle connection had died under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from anthropic import DefaultHttpxClient

# Events of the connection pool's trace extension.
_CONNECTS, _ANSWERED = "connection.connect_tcp.started", "http11.receive_response_headers.complete"
_BROKEN = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.CloseError)


class RenewingHttpClient(DefaultHttpxClient):
    """Follows no redirect, because the SDK would send the key along, also to another host.

    The API closes idle connections, and a function that slept does not see it: its next request meets a dead one. Such
    a request was not read, so it is sent once more on a new connection. A request that broke on a new connection may
    have been read and billed, and is not repeated.
    """

    def __init__(self) -> None:
        super().__init__(follow_redirects=False)

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request. Other errors than that of a dead idle connection are raised as they are."""
        events: set[str] = set()

        def note(event: str, _: Mapping[str, Any]) -> None:
            events.add(event)

        request.extensions = {**request.extensions, "trace": note}
        try:
            return super().send(request, stream=stream, **options)
        except _BROKEN:
            if stream or _CONNECTS in events or _ANSWERED in events:
                raise
        with DefaultHttpxClient(follow_redirects=False) as renewed:
            return renewed.send(request, stream=False, **options)
