"""Resource types of the program: how the emulator creates, changes, removes and finds each.

One module per AWS service holds the service's types, one class per type. ``local.types.sqs`` is a short example::

    @resource("aws:sqs/queue:Queue", replaced_by=("fifoQueue", "name"))
    class SqsQueue(ResourceType):
        def create(self, request: ResourceRequest) -> CreatedResource: ...
        def change(self, resource: ExistingResource) -> None: ...
        def remove(self, resource: ExistingResource) -> None: ...
        def read(self, resource: ExistingResource) -> FoundResource | None: ...

Only ``create`` is required; the defaults of the other methods are those of :class:`ResourceType`. A type without a
class is :class:`RecordedOnly`: nothing is created, and ``fabric demo`` lists the type as "recorded only".
"""

from local.types.context import EMULATOR_ERRORS, CreationFailedError, EmulatorContext
from local.types.definition import (
    PROVIDER_OPTIONS,
    TAG_INPUTS,
    RecordedOnly,
    ResourceType,
    find_type,
    importable,
    is_missing,
    registered_types,
    retag,
)
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

__all__ = [
    "EMULATOR_ERRORS",
    "PROVIDER_OPTIONS",
    "TAG_INPUTS",
    "CreatedResource",
    "CreationFailedError",
    "EmulatorContext",
    "ExistingResource",
    "FoundResource",
    "RecordedOnly",
    "ResourceRequest",
    "ResourceType",
    "find_type",
    "importable",
    "is_missing",
    "registered_types",
    "retag",
]
