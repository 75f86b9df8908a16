"""Labels of a session: short texts of the client's choice, to find sessions by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

MAX_LABELS = 10
# ASCII and short: the record of a session's end carries the labels, and KMS signs 4,096 bytes at most.
LABEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/=@+-]{0,31}$"
LABEL_RULE = "1 to 32 of A-Z, a-z, 0-9 and ._:/=@+-, starting with a letter or digit"

Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
# In stored shapes: a later release may allow other labels, and this one still reads them after a rollback.
Labels = Annotated[tuple[str, ...], Field(strict=False)]
