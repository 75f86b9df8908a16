"""Registry of resource types: rules for a type's class, and the answers of types without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.types import CreatedResource, EmulatorContext, ExistingResource, RecordedOnly, ResourceRequest, ResourceType
from local.types import definition as registry
from local.types.definition import PutResource, find_type, registered_types, resource

CONTEXT = EmulatorContext("http://127.0.0.1:1", "us-east-1", "000000000000", Path("unused"), 5432, lambda *_: None)


class Named(ResourceType):
    """Type that can be created only."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        return CreatedResource(request.physical_name())


class Changeable(Named):
    """Type that can be changed in place, too."""

    def change(self, resource: ExistingResource) -> None:
        pass


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a test's types apart from the real ones, which are loaded before."""
    registered_types()
    monkeypatch.setattr(registry, "_registry", {})


def test_a_class_that_can_change_must_say_what_replaces_its_resource() -> None:
    with pytest.raises(TypeError, match="Changeable: give both a change method and replaced_by, or neither"):
        resource("aws:a/b:C")(Changeable)
    with pytest.raises(TypeError, match="Named"):
        resource("aws:a/b:C", replaced_by=("name",))(Named)


def test_a_type_has_one_class() -> None:
    resource("aws:a/b:C")(Named)
    with pytest.raises(ValueError, match="aws:a/b:C has two classes: Named and Changeable"):
        resource("aws:a/b:C", replaced_by=())(Changeable)


def test_a_type_that_cannot_change_is_replaced_for_every_input_but_tags_and_provider_options() -> None:
    assert Named().replacing(frozenset({"size", "tags", "forceDestroy"})) == {"size"}


def test_a_region_always_replaces() -> None:
    class Put(PutResource):
        def create(self, request: ResourceRequest) -> CreatedResource:
            return CreatedResource("id", {"version": request.inputs["version"]})

    resource("aws:a/b:Put", replaced_by=("name",))(Put)
    assert Put().replacing(frozenset({"name", "region", "version"})) == {"name", "region"}
    existing = ExistingResource("aws:a/b:Put", "x", {"version": 2}, CONTEXT, "id", {"version": 1})
    assert Put().change(existing) == {"version": 2}, "a changed PutResource is created again"


def test_a_type_without_a_class_is_recorded_only() -> None:
    definition = find_type("aws:xray/group:Group")
    created = definition.create(ResourceRequest("aws:xray/group:Group", "traces", {}, CONTEXT))
    assert isinstance(definition, RecordedOnly)
    assert (created.id, created.outputs) == ("traces-id", {"arn": "arn:aws:local:::aws:xray/group:Group/traces"})


def test_tags_and_provider_options_are_different_inputs() -> None:
    assert not registry.TAG_INPUTS & registry.PROVIDER_OPTIONS


def test_all_modules_of_the_package_register_their_types() -> None:
    assert {"aws:sqs/queue:Queue", "aws:wafv2/webAcl:WebAcl"} <= set(registered_types())
