"""Starts and lists of durable executions, with the uniqueness of names that Lambda guarantees."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durable_runner import DurableRunner
from lambda_errors import LambdaApiError

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED")
_SYNCHRONOUS_S = 900  # a synchronous Invoke waits at most 15 minutes
_POLL_S = 0.02
_LIST_DEFAULT, _LIST_MOST = 100, 1000


@dataclass(frozen=True)
class DurableFunction:
    """A version of a durable function, as an Invoke named it."""

    account: str
    region: str
    name: str
    version: str
    config: Mapping[str, int]  # DurableConfig

    @property
    def arn(self) -> str:
        """ARN of the version. The ARNs that policies name for an execution begin with it."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}:{self.version}"


@dataclass(frozen=True)
class _Start:
    """First start of a named execution."""

    function_name: str
    payload: bytes
    execution_arn: str


class DurableExecutions:
    """Executions of the local runner.

    A name is unique in account and Region (Lambda Developer Guide, "Idempotency"): a start with the same payload
    returns the existing execution, also one that has ended; a start with another payload is an error. The guide does
    not say what the same name does for another function, and the API Reference calls names unique in the function;
    here it is an error, so that nothing relies on either. Retention does not end before the platform does.
    """

    def __init__(self, runner: DurableRunner) -> None:
        self._runner = runner
        self._starts: dict[tuple[str, str, str], _Start] = {}
        self._locks: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def start(self, function: DurableFunction, name: str | None, payload: bytes) -> str:
        """Return the ARN of the execution called ``name``, which is started unless it exists.

        Raises:
            LambdaApiError: the name is invalid, or belongs to another payload or function.
        """
        if name is None:
            return await self._start(function, str(uuid.uuid4()), payload)
        if not _NAME.match(name):
            raise LambdaApiError("InvalidParameterValueException", f"{name} is not a valid durable execution name")
        key = function.account, function.region, name
        async with self._locks.setdefault(key, asyncio.Lock()):  # of starts at the same time, one starts
            if key not in self._starts:
                arn = await self._start(function, name, payload)
                self._starts[key] = _Start(function.name, payload, arn)
        start = self._starts[key]
        if (start.function_name, start.payload) != (function.name, payload):
            raise LambdaApiError(
                "DurableExecutionAlreadyStartedException",
                f"An execution named {name} was started with another payload or for another function",
            )
        return start.execution_arn

    async def wait(self, execution_arn: str) -> dict[str, Any]:
        """Return an execution, in the shape of GetDurableExecution, once it has ended.

        Raises:
            LambdaApiError: the execution runs longer than a synchronous Invoke waits.
        """
        deadline = time.monotonic() + _SYNCHRONOUS_S
        while (execution := await asyncio.to_thread(self._runner.describe, execution_arn))["Status"] not in _ENDED:
            if time.monotonic() > deadline:
                raise LambdaApiError("ServiceException", f"the execution still runs after {_SYNCHRONOUS_S} s")
            await asyncio.sleep(_POLL_S)
        return execution

    async def list(self, account: str, function_name: str, version: str | None, query: Mapping[str, list[str]]) -> Any:
        """Return the response of ListDurableExecutionsByFunction, newest execution first unless ``ReverseOrder``.

        Args:
            version: only executions of this version; None: of all versions.
            query: parameters of the request.
        """
        found = await asyncio.to_thread(self._runner.executions, function_name)
        own = [execution for execution in found if execution["FunctionArn"].split(":")[4] == account]
        return _page(own, version, query)

    async def _start(self, function: DurableFunction, name: str, payload: bytes) -> str:
        request = {
            "AccountId": function.account,
            "FunctionName": function.name,
            "FunctionQualifier": function.version,
            "ExecutionName": name,
            "ExecutionTimeoutSeconds": function.config["ExecutionTimeout"],
            "ExecutionRetentionPeriodDays": function.config.get("RetentionPeriodInDays") or 14,
            "Input": payload.decode() or "{}",
        }
        return await asyncio.to_thread(self._runner.start, request)


def _page(found: list[dict[str, Any]], version: str | None, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Filter, sort and cut ``found``. A marker is the position of the page's last execution."""
    name = query.get("DurableExecutionName", [None])[0]
    statuses = query.get("Statuses")
    after, before = _timestamp(query, "StartedAfter"), _timestamp(query, "StartedBefore")
    oldest_first = query.get("ReverseOrder", ["false"])[0] == "true"
    size = _page_size(query)
    marker = _position(query["Marker"][0]) if "Marker" in query else None

    def position(execution: Mapping[str, Any]) -> tuple[float, str]:
        return execution["StartTimestamp"], execution["DurableExecutionArn"]

    def wanted(execution: Mapping[str, Any]) -> bool:
        started = execution["StartTimestamp"]
        later = marker is None or (position(execution) > marker if oldest_first else position(execution) < marker)
        return (
            later
            and (version is None or execution["FunctionArn"].rpartition(":")[2] == version)
            and (name is None or execution["DurableExecutionName"] == name)
            and (statuses is None or execution["Status"] in statuses)
            and (after is None or started > after)
            and (before is None or started < before)
        )

    matching = sorted(filter(wanted, found), key=position, reverse=not oldest_first)
    page: dict[str, Any] = {"DurableExecutions": matching[:size]}
    if len(matching) > size:
        page["NextMarker"] = base64.b64encode(json.dumps(position(matching[size - 1])).encode()).decode()
    return page


def _page_size(query: Mapping[str, list[str]]) -> int:
    text = query.get("MaxItems", ["0"])[0]
    if not text.isdigit() or int(text) > _LIST_MOST:
        raise LambdaApiError("InvalidParameterValueException", f"MaxItems {text} is not between 0 and {_LIST_MOST}")
    return int(text) or _LIST_DEFAULT


def _position(marker: str) -> tuple[float, str]:
    try:
        started, arn = json.loads(base64.b64decode(marker, validate=True))
    except (ValueError, TypeError):
        raise LambdaApiError("InvalidParameterValueException", "Marker is not one that a page returned") from None
    return started, arn


def _timestamp(query: Mapping[str, list[str]], parameter: str) -> float | None:
    """Return an ISO 8601 timestamp of the query in seconds since 1970, without an offset in UTC."""
    if parameter not in query:
        return None
    try:
        moment = datetime.fromisoformat(query[parameter][0])
    except ValueError:
        text = f"{parameter} {query[parameter][0]} is not an ISO 8601 timestamp"
        raise LambdaApiError("InvalidParameterValueException", text) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
