"""Runs in a fresh interpreter, as a Lambda environment would: imports a handler, then calls it for each event.

``probe.py PATHS MODULE HANDLER EVENTS``: search paths joined by colons, and a JSON file with the list of events. Prints
``{"init_s", "first_s", "warm_s": […], "whole_s": […], "modules"}``, where ``warm_s`` is without the time that the model
calls took; the handler's own output goes to standard error.
"""

from __future__ import annotations

import sys
import time

started = time.perf_counter()


class Context:
    """As much of Lambda's context as handlers use."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def time_model_calls(asked: list[float]) -> None:
    """From now on, add to ``asked[0]`` what each call of the SDK takes, for whichever handler makes it."""
    from anthropic.resources.messages import Messages

    create = Messages.create

    def timed(*args: object, **kwargs: object) -> object:
        before = time.perf_counter()
        try:
            return create(*args, **kwargs)  # type: ignore[call-overload]
        finally:
            asked[0] += time.perf_counter() - before

    Messages.create = timed  # type: ignore[method-assign]


def main() -> None:
    paths, module, name, events_file = sys.argv[1:5]
    sys.path[:0] = paths.split(":")
    out, sys.stdout = sys.stdout, sys.stderr
    before = time.perf_counter()
    handler = getattr(__import__(module, fromlist=[name]), name)
    init_s = time.perf_counter() - before

    import json

    with open(events_file) as file:
        events = json.load(file)
    times, whole = [], []
    asked = [0.0]
    for event in events:
        asked[0] = 0.0
        before = time.perf_counter()
        answer = handler(event, Context())
        whole.append(time.perf_counter() - before)
        times.append(whole[-1] - asked[0])
        if len(times) == 1:
            time_model_calls(asked)
        if answer.get("batchItemFailures") or answer.get("statusCode", 200) != 200:
            raise SystemExit(f"the handler failed: {answer}")
    json.dump(
        {"init_s": init_s, "first_s": times[0], "warm_s": times[1:], "whole_s": whole[1:], "modules": len(sys.modules)},
        out,
    )


main()
