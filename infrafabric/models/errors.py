"""What can go wrong when a model is asked.

ModelError
├── Throttled       rate limit, overload or no capacity: the same call may pass later; nothing was billed
├── TimedOut        no answer in the time given: what it did cost is unknown
├── Unreachable     no connection to the API: nothing was billed
├── RefusedToAnswer the model declined; billed
├── CutOff          the answer did not fit max_tokens; billed
├── BadAnswer       the answer does not fit the schema; billed
├── NotAllowed      the key or role is not accepted
├── OutOfCredit     the account cannot pay
├── TooLarge        the prompt is larger than the API takes
└── BadRequest      the API does not understand what we sent, or does not know the model

Messages never hold prompts, answers or keys.
"""

from __future__ import annotations

from infrafabric.models.usage import Usage


class ModelError(Exception):
    """``usage`` is what the call did use when the API said so; ``billed`` is None when nobody can know."""

    slug = "model-error"
    billed: bool | None = False

    def __init__(self, detail: str, *, usage: Usage | None = None) -> None:
        super().__init__(detail)
        self.usage = usage


class Throttled(ModelError):  # noqa: N818  what it is, not how it is raised
    slug = "throttled"

    def __init__(self, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TimedOut(ModelError):  # noqa: N818
    slug = "model-timeout"
    billed = None


class Unreachable(ModelError):  # noqa: N818
    slug = "model-unreachable"


class RefusedToAnswer(ModelError):  # noqa: N818
    slug = "model-refusal"
    billed = True


class CutOff(ModelError):  # noqa: N818
    slug = "model-cut-off"
    billed = True


class BadAnswer(ModelError):  # noqa: N818
    slug = "model-bad-answer"
    billed = True


class NotAllowed(ModelError):  # noqa: N818
    slug = "model-not-allowed"


class OutOfCredit(ModelError):  # noqa: N818
    slug = "model-out-of-credit"


class TooLarge(ModelError):  # noqa: N818
    slug = "model-prompt-too-large"


class BadRequest(ModelError):  # noqa: N818
    slug = "model-bad-request"
