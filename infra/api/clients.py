"""API keys of the clients: one or two per client, named in the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Alias, ComponentResource, Output, ResourceOptions

from infra import settings
from infra.naming.context import DataClass, StackContext
from infra.settings.api import CURRENT, DEFAULT_CLIENT

PrimaryKeys = Mapping[str, Mapping[str, str]]  # output api_keys of a primary: client → label → key

_KEY_ID_LENGTH = 10  # of the ids that API Gateway makes
# Name and component of the only API key of release 0.1.0.
_FORMER_KEY = "api-gateway-key"
_FORMER_PARENT = "infrafabric:api:Api$infrafabric:api:Gateway::api-gateway"


@dataclass(frozen=True, kw_only=True)
class ClientKeysArgs:
    context: StackContext
    clients: Mapping[str, settings.ClientSettings]
    primary_keys: Output[PrimaryKeys] | None = None  # standby only: a secret; None: API Gateway generates the keys


class ClientKeys(ComponentResource):
    """API keys of all clients, declared before the function that tells clients apart by the ids of their keys."""

    ids: dict[str, dict[str, Output[str]]]  # client → label → id
    values: dict[str, dict[str, Output[str]]]  # likewise; secrets

    def __init__(self, name: str, args: ClientKeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:api:ClientKeys", name, opts=opts)
        self._name, self._args = name, args
        keys = {
            client: {label: self._key(client, label) for label in args.clients[client].key_labels}
            for client in sorted(args.clients)
        }
        self.ids = {client: {label: key.id for label, key in of.items()} for client, of in keys.items()}
        self.values = {
            client: {label: Output.secret(key.value) for label, key in of.items()} for client, of in keys.items()
        }
        self.register_outputs({"values": self.values})

    @property
    def clients_by_id(self) -> Output[str]:
        """JSON object with the client of each key id."""
        pairs = [Output.all(id_, client) for client, of in self.ids.items() for id_ in of.values()]
        return Output.all(*pairs).apply(lambda known: json.dumps(dict(known)))

    @property
    def longest_clients_by_id(self) -> int:
        """Length of ``clients_by_id`` as a string in JSON, known before the ids are."""
        clients = [client for client, of in self.ids.items() for _ in of]
        placeholders = {f"{number:0{_KEY_ID_LENGTH}}": client for number, client in enumerate(clients)}
        return len(json.dumps(json.dumps(placeholders)))

    def _key(self, client: str, label: str) -> aws.apigateway.ApiKey:
        context, primary_keys = self._args.context, self._args.primary_keys
        first = (client, label) == (DEFAULT_CLIENT, CURRENT)
        former = Alias(
            name=_FORMER_KEY, parent=f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{_FORMER_PARENT}"
        )
        output = "api_key" if first else "api_keys"
        return aws.apigateway.ApiKey(
            f"{self._name}-{client}-{label}",
            name=context.physical_name("api" if first else f"api-{client}-{label}"),
            description=f"What clients of this stack send: pulumi stack output {output} --show-secrets",
            value=None if primary_keys is None else primary_keys.apply(lambda keys: keys[client][label]),
            tags=context.tags("api", DataClass.SECRET, "api"),
            opts=ResourceOptions(parent=self, additional_secret_outputs=["value"], aliases=[former] if first else None),
        )
