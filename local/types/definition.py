"""Base class and registry of resource types.

A type's class states which inputs replace the resource when they change (``replaced_by``), and creates, changes,
removes and finds the resource on the emulator.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from botocore.exceptions import ClientError

from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

_Type = TypeVar("_Type", bound="ResourceType")
TAG_INPUTS = frozenset({"tags", "tagsAll"})
# Inputs that steer the provider and are not properties of the resource.
PROVIDER_OPTIONS = frozenset(
    {
        "applyImmediately",
        "deletionWindowInDays",
        "finalSnapshotIdentifier",
        "forceDestroy",
        "recoveryWindowInDays",
        "replaceSecurityGroupsOnDestroy",
        "skipDestroy",
        "skipFinalSnapshot",
    }
)
# Inputs of a resource that was created a moment ago: it is deleted without a waiting time or a snapshot.
_NOTHING_TO_KEEP = {"finalSnapshotIdentifier": None, "forceDestroy": True, "recoveryWindowInDays": 0}
# Inputs that name a resource in AWS: two resources cannot have the same name at the same time.
_NAME_INPUTS = frozenset(
    {
        "alarmName",
        "bucket",
        "dashboardName",
        "domainName",
        "identifier",
        "key",
        "layerName",
        "name",
        "policyName",
        "stageName",
        "statementId",
        "targetId",
    }
)
# Inputs that replace a resource of most AWS types: the rule for types that are only recorded.
_USUALLY_REPLACING = _NAME_INPUTS | frozenset(
    {
        "availabilityZone",
        "cidrBlock",
        "customerMasterKeySpec",
        "dbName",
        "dbSubnetGroupName",
        "destinationCidrBlock",
        "destinationIpv6CidrBlock",
        "endpoint",
        "engine",
        "eventSourceArn",
        "family",
        "fifoQueue",
        "fifoTopic",
        "function",
        "functionName",
        "hashKey",
        "httpMethod",
        "keyId",
        "keyUsage",
        "kmsKeyId",
        "logGroupName",
        "multiRegion",
        "namePrefix",
        "objectLockEnabled",
        "parentId",
        "path",
        "pathPart",
        "policyArn",
        "protocol",
        "qualifier",
        "queueUrl",
        "rangeKey",
        "region",
        "resourceId",
        "responseType",
        "restApi",
        "restApiId",
        "role",
        "routeTableId",
        "secretId",
        "securityGroupId",
        "statusCode",
        "storageEncrypted",
        "subnetId",
        "topic",
        "usagePlanId",
        "username",
        "vpcId",
    }
)


class ResourceType(ABC):
    """Operations on one resource type. Subclasses are registered by :func:`resource`.

    The defaults suit a small type that AWS deletes together with its owner: every changed input except tags replaces
    the resource, a removal does nothing, and the resource is assumed to exist.
    """

    replaced_by: ClassVar[frozenset[str] | None] = None  # inputs that replace the resource; None: every input
    renewed_outputs: ClassVar[frozenset[str]] = frozenset()  # outputs that a change computes anew, unknown in a preview
    # Inputs that the emulator returns as they were set, each with AWS's value of an unset one (None: it has no fixed
    # value). A refresh compares these, and a type that has some can be imported.
    reads: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def create(self, request: ResourceRequest) -> CreatedResource:
        """Create the resource."""

    def create_whole(self, request: ResourceRequest) -> CreatedResource:
        """Create the resource, or leave nothing of it behind: the next attempt meets no name that is taken."""
        try:
            return self.create(request)
        except BaseException:
            inputs = {**request.inputs, **_NOTHING_TO_KEEP}
            for made in reversed(request.made):
                self.remove(
                    ExistingResource(request.type, request.name, inputs, request.context, made.id, made.outputs)
                )
            raise

    def change(self, resource: ExistingResource) -> Mapping[str, Any] | None:  # noqa: ARG002
        """Apply the new inputs to the resource in place. Return outputs that the change altered, if any."""
        return None

    def remove(self, resource: ExistingResource) -> None:  # noqa: B027  a default, not a forgotten implementation
        """Delete the resource. A "not found" error of the service counts as success."""

    def exists(self, resource: ExistingResource) -> bool:  # noqa: ARG002
        """Return whether the service still knows the resource."""
        return True

    def read(self, resource: ExistingResource) -> FoundResource | None:
        """Return what the emulator has of the resource; None if it is gone. A "not found" error counts as gone.

        For an import only type, ID and Region of the resource are known.
        """
        return FoundResource() if self.exists(resource) else None

    def with_unset(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs with AWS's values for unset ones: a change must undo what was set by hand."""
        return {**{name: value for name, value in self.reads.items() if value is not None}, **inputs}

    def replacing(self, changed: frozenset[str]) -> frozenset[str]:
        """Return the changed inputs that make a replacement necessary."""
        if self.replaced_by is None:
            return changed - TAG_INPUTS - PROVIDER_OPTIONS
        return changed & (self.replaced_by | {"region"})

    @staticmethod
    def must_delete_first(changed: frozenset[str], inputs: Mapping[str, Any]) -> bool:
        """Return whether the old resource must be deleted before the new one is created, as both have one name."""
        return not changed & _NAME_INPUTS and any(name in inputs for name in _NAME_INPUTS)


class PutResource(ResourceType):
    """Type with one idempotent "put" call: a change in place is the creation again."""

    def change(self, resource: ExistingResource) -> Mapping[str, Any] | None:
        """Put the resource again with the new inputs."""
        return self.create(resource).outputs


class RecordedOnly(ResourceType):
    """Type that the emulator does not have: the resource gets an ID and an ARN, and nothing is created."""

    replaced_by = _USUALLY_REPLACING

    def create(self, request: ResourceRequest) -> CreatedResource:
        """Make up an ID and, unless the program sets one, an ARN."""
        arn = request.inputs.get("arn") or f"arn:aws:local:::{request.type}/{request.name}"
        return CreatedResource(f"{request.name}-id", {"arn": arn})


_RECORDED_ONLY = RecordedOnly()
_registry: dict[str, ResourceType] = {}


def resource(
    *tokens: str, replaced_by: Iterable[str] | None = None, renewed_outputs: Iterable[str] = ()
) -> Callable[[type[_Type]], type[_Type]]:
    """Register a class for the resource types ``tokens``.

    Args:
        replaced_by: inputs that replace the resource when they change, besides ``region``; all other changes call
            ``change``. Left out for a class without ``change``: every changed input replaces its resource.
        renewed_outputs: outputs that a change computes anew, so that a preview shows them as unknown.

    Raises:
        TypeError: ``replaced_by`` without ``change``, or ``change`` without ``replaced_by``.
        ValueError: a token has a class already.
    """

    def register(cls: type[_Type]) -> type[_Type]:
        changeable = cls.change is not ResourceType.change
        if changeable != (replaced_by is not None):
            raise TypeError(f"{cls.__name__}: give both a change method and replaced_by, or neither")
        if replaced_by is not None:
            cls.replaced_by = frozenset(replaced_by)
        cls.renewed_outputs = frozenset(renewed_outputs)
        definition = cls()
        for token in tokens:
            if token in _registry:
                raise ValueError(f"{token} has two classes: {type(_registry[token]).__name__} and {cls.__name__}")
            _registry[token] = definition
        return cls

    return register


@cache
def registered_types() -> Mapping[str, ResourceType]:
    """Return all resource types that the emulator can create, by token."""
    package = importlib.import_module("local.types")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"local.types.{module.name}")
    return _registry


def importable() -> list[str]:
    """Return the tokens of the types that the emulator returns as they were set, and that can thus be imported."""
    return sorted(token for token, known in registered_types().items() if known.reads)


def find_type(token: str) -> ResourceType:
    """Return the resource type for a token; :class:`RecordedOnly` for a type that has no class."""
    return registered_types().get(token, _RECORDED_ONLY)


def is_missing(error: ClientError) -> bool:
    """Return whether an error means "not found", for which AWS services use many codes."""
    code = error.response["Error"]["Code"]
    return code == "404" or any(w in code for w in ("NotFound", "NoSuch", "NonExistent", "DoesNotExist", "NotExist"))


def succeeds(operation: Callable[..., object], **call_arguments: Any) -> bool:
    """Call a "describe" operation; return False if the service answers "not found".

    Raises:
        ClientError: any other error of the service.
    """
    try:
        operation(**call_arguments)
    except ClientError as error:
        if not is_missing(error):
            raise
        return False
    return True


def retag(resource: ExistingResource, tags_before: Mapping[str, str]) -> None:
    """Replace a resource's tags through the tagging API, by ARN; a resource without an ARN of AWS is left alone."""
    arn, tags = resource.outputs.get("arn"), resource.tag_map()
    if not arn or arn.startswith("arn:aws:local:"):
        return
    tagging = resource.client("resourcegroupstaggingapi")
    if removed := sorted(set(tags_before) - set(tags)):
        tagging.untag_resources(ResourceARNList=[arn], TagKeys=removed)
    if tags:
        tagging.tag_resources(ResourceARNList=[arn], Tags=tags)
