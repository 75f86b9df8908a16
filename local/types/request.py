"""Values that a resource type's methods take and return: request, created resource, existing resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.types.context import EmulatorContext


@dataclass(frozen=True)
class ResourceRequest:
    """A resource that the program declares, with the emulator to create it on."""

    type: str  # token, such as aws:sqs/queue:Queue
    name: str  # logical name in the program
    inputs: Mapping[str, Any]  # camelCase, as the provider's schema has them; secrets in clear
    context: EmulatorContext
    made: list[CreatedResource] = field(default_factory=list, kw_only=True)  # filled by :meth:`exists_as`

    def client(self, service: str) -> Any:
        """Return a boto3 client in the resource's Region."""
        return self.context.client(service, self.inputs.get("region"))

    @property
    def region(self) -> str:
        """Region of the resource: the input ``region``, or the stack's."""
        return self.inputs.get("region") or self.context.region

    def arn(self, service: str, path: str, *, regional: bool = True) -> str:
        """Return an ARN in the resource's account and, if ``regional``, Region."""
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.context.account_id}:{path}"

    def tag_list(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        """Return the tags as most AWS APIs take them: ``[{"Key": …, "Value": …}]``, sorted by key."""
        return [{key: name, value: text} for name, text in sorted(self.tag_map().items())]

    def tag_specifications(self, kind: str) -> dict[str, Any]:
        """Return the tags as EC2's "create" calls take them, for a resource of the ``kind``; nothing without tags."""
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": self.tag_list()}]} if self.tag_map() else {}

    def tag_map(self) -> dict[str, str]:
        """Return the tags as a dictionary."""
        return dict(self.inputs.get("tags") or {})

    def exists_as(self, id: str, outputs: Mapping[str, Any] | None = None) -> None:
        """Note that the resource exists; if a further call of the creation fails, the resource is removed."""
        self.made.append(CreatedResource(id, outputs or {}))

    def physical_name(self, key: str = "name") -> str:
        """Return the input ``key``, or the logical name if the program left the input out."""
        return self.inputs.get(key) or self.name


@dataclass(frozen=True)
class CreatedResource:
    """Result of a creation: the provider's ID, and the outputs that differ from the inputs or that only AWS knows."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundResource:
    """Inputs and outputs of a resource as the emulator has them; inputs that are not set are left out."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExistingResource(ResourceRequest):
    """A resource created earlier. For a change, ``inputs`` are the new ones; for a removal, the last ones."""

    id: str
    outputs: Mapping[str, Any]  # before the change
    changed: frozenset[str] = frozenset()  # top-level inputs that differ from the inputs before

    def value(self, name: str) -> Any:
        """Return an input or, if the program left it out, the output of the same name.

        Raises:
            KeyError: the resource has neither.
        """
        return self.inputs.get(name) or self.outputs[name]
