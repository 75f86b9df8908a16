"""Timer for a handler in a new interpreter, like a Lambda environment: imports the handler, then calls it per event.

``probe.py PATHS MODULE HANDLER EVENTS``: search paths joined by colons, and a JSON file with the list of events. Prints
``{"init_s", "first_s", "warm_s": […], "whole_s": […], "modules"}``. ``warm_s`` excludes the time of model calls;
``whole_s`` includes that time. The handler's own output goes to standard error.
"""

from __future__ import annotations

import sys
import time

started = time.perf_counter()


class FakeLambdaContext:
    """Part of Lambda's context object that handlers use."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return five minutes."""
        return 300_000


def time_model_calls(model_s: list[float]) -> None:
    """Patch the SDK: add the seconds of each model call to ``model_s[0]``."""
    from anthropic.resources.messages import Messages

    create = Messages.create

    def timed(*args: object, **kwargs: object) -> object:
        before = time.perf_counter()
        try:
            return create(*args, **kwargs)  # type: ignore[call-overload]
        finally:
            model_s[0] += time.perf_counter() - before

    Messages.create = timed  # type: ignore[method-assign]


def main() -> None:
    """Import the handler, call the handler for each event, and print the times."""
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
    model_s = [0.0]
    for event in events:
        model_s[0] = 0.0
        before = time.perf_counter()
        result = handler(event, FakeLambdaContext())
        whole.append(time.perf_counter() - before)
        times.append(whole[-1] - model_s[0])
        if len(times) == 1:
            time_model_calls(model_s)
        if result.get("batchItemFailures") or result.get("statusCode", 200) != 200:
            raise SystemExit(f"the handler failed: {result}")
    json.dump(
        {"init_s": init_s, "first_s": times[0], "warm_s": times[1:], "whole_s": whole[1:], "modules": len(sys.modules)},
        out,
    )


main()
