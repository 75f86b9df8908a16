"""Stand-ins for arguments and values that are newer than the provider at hand.

pulumi-aws 7 is generated from version 6 of the provider. An older provider refuses what it does not know, and then
checks nothing else of the resource; so an unknown argument is left out, and an unknown value is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Version = tuple[int, ...]
Block = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """Argument, or value of an argument, that an older provider refuses."""

    type: str  # Terraform's
    argument: str  # names of blocks and argument, with dots
    reason: str
    page: str  # of the change in the provider
    value: str = ""  # refused value; empty: the argument is unknown
    instead: str = ""  # value that is judged in place of the refused value
    # How a provider that accepts the value is told: by its version, or by an argument that came with the value.
    since: Version = ()
    came_with: str = ""
    rewrite: Callable[[Block, Any], None] | None = None  # writes the meaning of the argument in older arguments
    setting: str = ""  # setting that needs the stand-in, if no stack of tests/stacks does

    def __str__(self) -> str:
        return f"{self.type}.{self.argument}" + (f" = {self.value}" if self.value else "")

    def is_refused(self, schema: Mapping[str, Any], version: Version) -> bool:
        """Return whether the provider with ``schema`` and ``version`` refuses the argument or value."""
        if self.since:
            return version < self.since
        return not _is_known(schema, self.type, self.came_with or self.argument)


def _index_keys(index: Block, key_schema: list[Block]) -> None:
    """Write the keys of a DynamoDB index as the two arguments of provider 5."""
    for key in key_schema:
        index["hash_key" if key["key_type"] == "HASH" else "range_key"] = key["attribute_name"]


_PULLS = "https://github.com/hashicorp/terraform-provider-aws/pull"
STAND_INS = (
    StandIn(
        type="aws_kms_key",
        argument="customer_master_key_spec",
        value="ECC_NIST_EDWARDS25519",
        instead="ECC_NIST_P256",
        since=(6, 22, 0),
        reason="IF.bus signs with Ed25519. Both specifications are for keys that only sign, and follow the same rules.",
        page=f"{_PULLS}/45025",
    ),
    StandIn(
        type="aws_lambda_function",
        argument="durable_config",
        reason="The coordinator is a durable function. AWS announced durable functions in December 2025.",
        page=f"{_PULLS}/45359",
    ),
    StandIn(
        type="aws_lambda_function",
        argument="runtime",
        value="python3.14",
        instead="python3.13",
        came_with="durable_config",
        reason="AWS added the runtime in November 2025, shortly before durable functions.",
        page="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html",
        setting="runtime.python",
    ),
    StandIn(
        type="aws_lambda_layer_version",
        argument="compatible_runtimes",
        value="python3.14",
        instead="python3.13",
        since=(6, 28, 0),
        reason="AWS added the runtime in November 2025; a layer names the runtimes that it is for.",
        page="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html",
        setting="runtime.python",
    ),
    StandIn(
        type="aws_dynamodb_table",
        argument="global_secondary_index.key_schema",
        rewrite=_index_keys,
        reason="Version 6.29 deprecates hash_key and range_key of an index; our indexes have one key of each kind.",
        page=f"{_PULLS}/45357",
    ),
    StandIn(
        type="aws_dynamodb_table",
        argument="replica.deletion_protection_enabled",
        reason="Version 5 protects the table itself, but none of its replicas.",
        page=f"{_PULLS}/43240",
    ),
    StandIn(
        type="aws_api_gateway_rest_api",
        argument="security_policy",
        reason="TLS policy of the API's own endpoint; the provider accepts one since 2026.",
        page=f"{_PULLS}/47973",
    ),
    StandIn(
        type="aws_api_gateway_rest_api",
        argument="endpoint_access_mode",
        reason="API Gateway requires an access mode with the TLS policies that begin with SecurityPolicy_.",
        page=f"{_PULLS}/47973",
    ),
    StandIn(
        type="aws_api_gateway_domain_name",
        argument="endpoint_access_mode",
        reason="API Gateway requires an access mode with the TLS policies that begin with SecurityPolicy_.",
        page=f"{_PULLS}/45741",
    ),
    StandIn(
        type="aws_api_gateway_domain_name",
        argument="security_policy",
        value="SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
        instead="TLS_1_2",
        came_with="endpoint_access_mode",
        reason="TLS 1.3 and 1.2 with forward secrecy; the older policy admits the same versions with more ciphers.",
        page=f"{_PULLS}/45741",
    ),
    StandIn(
        type="aws_budgets_budget",
        argument="filter_expression",
        reason="One budget counts two tags together, which the older cost_filter cannot express.",
        page=f"{_PULLS}/46501",
    ),
    StandIn(
        type="aws_budgets_budget",
        argument="metrics",
        reason="AWS Budgets requires a metric with a filter expression.",
        page=f"{_PULLS}/47047",
    ),
)


def found_in(configuration: Mapping[str, Mapping[str, Block]], stand_in: StandIn) -> bool:
    """Return whether a resource has the argument, or the value, of the stand-in."""
    return any(True for _ in _places(configuration, stand_in))


def apply(configuration: Mapping[str, Mapping[str, Block]], stand_in: StandIn) -> None:
    """Replace the argument or value of the stand-in in every resource of ``configuration``, in place."""
    *_, argument = stand_in.argument.split(".")
    for block in list(_places(configuration, stand_in)):
        if stand_in.value:
            block[argument] = _replaced(block[argument], stand_in)
            continue
        value = block.pop(argument)
        if stand_in.rewrite:
            stand_in.rewrite(block, value)


def _replaced(value: Any, stand_in: StandIn) -> Any:
    if isinstance(value, list):
        return [_replaced(one, stand_in) for one in value]
    return stand_in.instead if value == stand_in.value else value


def _places(configuration: Mapping[str, Mapping[str, Block]], stand_in: StandIn) -> Iterator[Block]:
    """Return the blocks that hold the argument, and the value if the stand-in names one."""
    *blocks, argument = stand_in.argument.split(".")
    places = list(configuration.get(stand_in.type, {}).values())
    for name in blocks:
        places = [inner for place in places for inner in place.get(name, ())]
    for place in places:
        if argument in place and (not stand_in.value or stand_in.value in _as_list(place[argument])):
            yield place


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_known(schema: Mapping[str, Any], type_: str, argument: str) -> bool:
    *blocks, name = argument.split(".")
    block = schema.get(type_, {}).get("block", {})
    for inner in blocks:
        block = block.get("block_types", {}).get(inner, {}).get("block", {})
    return name in block.get("attributes", {}) or name in block.get("block_types", {})
