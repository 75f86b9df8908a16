"""Effects of an update on running sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.preview.events import Change, Operation, Preview

_AGENT_FUNCTION = re.compile(r"agents-(h\d\d)-function")
_CLIENT_KEY = re.compile(r"api-clients-(.+)-(?:current|next)")
_GONE = (Operation.REPLACE, Operation.DELETE)


def effects(preview: Preview) -> Iterator[str]:
    """Yield a sentence per effect on sessions that run during the update; nothing if they notice none."""
    by_name = {change.name: change for change in preview.changes}
    yield from _coordinator(by_name.get("coordinator-function"))
    yield from _agents(preview)
    yield from _stores(by_name)
    if _is(by_name.get("migrator-run"), Operation.CREATE, Operation.REPLACE):
        yield "SQL migrations run before the recorder's new version starts; until then records wait in its queue."
    if _is(by_name.get("api-gateway-api"), *_GONE):
        yield "The API's address changes: clients need the new output `api_url`."
    yield from _keys(preview)


def _keys(preview: Preview) -> Iterator[str]:
    gone = [c for c in preview.changes if c.operation in _GONE and c.type == "aws:apigateway/apiKey:ApiKey"]
    if clients := sorted({match[1] for c in gone if (match := _CLIENT_KEY.fullmatch(c.name))}):
        yield (
            f"API keys of {', '.join(clients)} change: whoever sends a replaced key gets 403 until it has a key of the "
            "output `api_keys`."
        )


def _coordinator(change: Change | None) -> Iterator[str]:
    if _is(change, *_GONE):
        yield "Running sessions end: the coordinator's executions are deleted with its function."
    elif _is(change, Operation.UPDATE):
        yield "Running sessions finish on the coordinator's version that they began with; new ones use the new version."


def _agents(preview: Preview) -> Iterator[str]:
    names: dict[Operation, list[str]] = {}
    for change in preview.changes:
        if match := _AGENT_FUNCTION.fullmatch(change.name):
            names.setdefault(change.operation, []).append(match[1])
    if updated := names.get(Operation.UPDATE):
        yield f"{_list(updated)}: a task in work is finished by the old version, the next one gets the new version."
    if gone := [*names.get(Operation.DELETE, []), *names.get(Operation.REPLACE, [])]:
        yield f"{_list(gone)}: tasks in work or in the queue go to another agent after the silence timeout."


def _stores(by_name: dict[str, Change]) -> Iterator[str]:
    if _is(by_name.get("sessions-table"), *_GONE):
        yield "All sessions are lost, also those that run: their table is deleted."
    if _is(by_name.get("storage-results-bucket"), *_GONE):
        yield "Results and reports are lost: their bucket is deleted."
    if _is(by_name.get("database-instance"), Operation.REPLACE):
        yield "Records wait in the recorder's queue until the new database is there."
    if _is(by_name.get("recorder-function"), Operation.DELETE):
        yield "Sessions are no longer written to history."


def _is(change: Change | None, *operations: Operation) -> bool:
    return change is not None and change.operation in operations


def _list(agents: list[str]) -> str:
    return f"Agents {', '.join(sorted(agents))}" if len(agents) <= 5 else f"{len(agents)} agents"
