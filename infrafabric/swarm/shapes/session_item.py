"""Session item: the row of the sessions table that says where a session stands."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_serializer, field_validator

from infrafabric.swarm import table_keys
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.labels import Labels
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.shape import EpochMs, Shape
from infrafabric.swarm.status import SessionStatus

KEEP_S = 90 * 86_400  # time to live of the table's items; history stays in PostgreSQL and S3


class Progress(Shape):
    """Counts of one part of a running round, shown to clients; no decision depends on them."""

    done: int = 0
    spent_nusd: int = 0
    freed_nusd: int = 0  # allowances of the attempts that were answered


class SessionItem(Shape):
    """Status, money and progress of a session.

    The coordinator writes the item at each round and at most every two seconds in between; DynamoDB bills a write by
    the item's size: keep it small.
    """

    session_id: str  # the internal id
    home: str  # region that alone writes the item
    epoch: int = 1
    owner: str
    created_ms: EpochMs
    deadline_ms: EpochMs
    status: Annotated[SessionStatus, Field(strict=False)]
    reason: str = ""
    digest: str = ""  # identity of the client's request, for its retries
    model: str = ""
    quorum: float = 1.0
    budget_nusd: int
    spent_nusd: int = 0
    committed_nusd: int = 0  # what attempts without a believed answer may still spend
    cap_partition: str = ""  # key of the daily cap against which the budget was reserved; "" if there is none
    tasks_total: int = 0
    tasks_done: int = 0
    tasks_failed: int = 0
    round_number: int = 0  # of the running round
    progress: dict[str, Progress] = Field(default_factory=dict)  # of the running round, by part
    labels: Labels = ()
    execution_arn: str = ""  # "" until the coordinator was started
    updated_ms: EpochMs | None = None  # time of the latest plan, round or progress
    cancelled_ms: EpochMs | None = None  # time at which a caller cancelled; the coordinator then ends the session
    cancel_reason: str = ""
    ended_ms: EpochMs | None = None

    @field_validator("quorum", mode="before")
    @classmethod
    def _read_quorum(cls, value: Any) -> Any:
        return float(value) if isinstance(value, str) else value

    @field_serializer("quorum")
    def _write_quorum(self, value: float) -> str:
        return str(value)  # DynamoDB's numbers are decimal, and a quorum is binary

    @classmethod
    def of(cls, order: Order, *, digest: str, model: str, cap_partition: str = "") -> SessionItem:
        """Return the item of a session that was ordered just now."""
        return cls(
            session_id=order.session_id,
            home=order.home,
            epoch=order.epoch,
            owner=order.owner,
            created_ms=order.created_ms,
            deadline_ms=order.deadline_ms,
            status=SessionStatus.PENDING,
            digest=digest,
            model=model,
            quorum=order.quorum,
            budget_nusd=order.budget_nusd,
            cap_partition=cap_partition,
            tasks_total=len(order.tasks),
            labels=order.labels,
        )

    @property
    def key(self) -> SessionKey:
        return SessionKey(self.session_id, self.home, self.epoch)

    @property
    def shown_status(self) -> SessionStatus:
        """Status as clients see it: a session that was cancelled and has not ended yet is CANCELLING."""
        waiting = self.cancelled_ms is not None and not self.status.final
        return SessionStatus.CANCELLING if waiting else self.status

    @property
    def done_so_far(self) -> int:
        """Tasks done, those of the running round included."""
        return self.tasks_done + sum(part.done for part in self.progress.values())

    @property
    def spent_so_far(self) -> int:
        """Money spent, that of the running round included."""
        return self.spent_nusd + sum(part.spent_nusd for part in self.progress.values())

    @property
    def committed_so_far(self) -> int:
        """Money that attempts may still spend, without those of the running round that were answered."""
        return max(0, self.committed_nusd - sum(part.freed_nusd for part in self.progress.values()))

    def as_item(self) -> dict[str, Any]:
        """Return the stored item, keys included."""
        members = {name: value for name, value in self.write().items() if value is not None}
        for member in ("execution_arn", "cap_partition", "cancel_reason"):
            if not members[member]:
                del members[member]
        return {
            **members,
            table_keys.PARTITION_KEY: self.key.partition,
            table_keys.SORT_KEY: table_keys.SESSION,
            table_keys.INDEX_PARTITION_KEY: table_keys.index_partition(self.home),
            table_keys.INDEX_SORT_KEY: f"{self.created_ms:015}#{self.session_id}",
            "expires_at": self.created_ms // 1000 + KEEP_S,
        }
