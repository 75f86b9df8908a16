"""Session item: the row of the sessions table that says where a session stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_serializer, field_validator

from infrafabric.swarm import table_keys
from infrafabric.swarm.shapes.labels import Labels
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.shape import EpochMs, Shape
from infrafabric.swarm.status import SessionStatus

KEEP_S = 90 * 86_400  # time to live of the table's items; history stays in PostgreSQL and S3


class SessionItem(Shape):
    """Status, money and progress of a session.

    Every lease and every answer writes the whole item, and DynamoDB bills a write by the item's size: keep it small.
    """

    session_id: str  # the internal id
    owner: str = ""  # "" in sessions of releases without owners
    created_ms: EpochMs
    deadline_ms: EpochMs
    status: Annotated[SessionStatus, Field(strict=False)]
    reason: str = ""
    digest: str = ""  # identity of the client's request, for its retries
    model: str = ""
    quorum: float = 1.0
    budget_nusd: int
    committed_nusd: int = 0  # spent, plus what running model calls may still cost
    spent_nusd: int = 0
    cap_partition: str = ""  # key of the daily cap against which the budget was reserved; "" if there is none
    tasks_total: int = 0
    tasks_done: int = 0
    tasks_failed: int = 0
    labels: Labels = ()
    execution_arn: str = ""  # "" until the coordinator was started
    updated_ms: EpochMs | None = None  # time of the latest lease, answer or plan
    ended_ms: EpochMs | None = None

    stored_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "session_id": (table_keys.PARTITION_KEY,),
        "budget_nusd": ("budget_nusd", "budget"),
        # Two releases add to the same counters while a deployment replaces one by the other, so these names stay.
        "committed_nusd": ("committed",),
        "spent_nusd": ("spent",),
    }

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

    def as_item(self) -> dict[str, Any]:
        """Return the stored item, keys included."""
        members = {name: value for name, value in self.write().items() if value is not None}
        for member, names in self.stored_names.items():
            members[names[0]] = members.pop(member)
        for member in ("execution_arn", table_keys.OWNER_KEY, "cap_partition"):
            if not members[member]:
                del members[member]  # DynamoDB refuses an empty text as the key of an index
        return {
            **members,
            table_keys.SORT_KEY: table_keys.SESSION,
            table_keys.INDEX_PARTITION_KEY: table_keys.INDEX_PARTITION,
            table_keys.INDEX_SORT_KEY: f"{self.created_ms:015}#{self.session_id}",
            "budget": self.budget_nusd,  # for functions of release 0.1, after a rollback
            "expires_at": self.created_ms // 1000 + KEEP_S,
        }
