"""Stands the Pulumi program up under mocks, so that tests can look at what it declared."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"  # an Output in an f-string is an error, not a text that says so

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_root_resource, set_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func

from infra import stackfile

ACCOUNT = "123456789012"
SECRETS = {"infrafabric:databasePassword": "correct-horse-battery", "infrafabric:anthropicApiKey": "sk-ant-hidden"}
_SECRET_MARK = "4dabf18193072939515e22adb298388d"  # key of Pulumi's signature in a wrapped value


@dataclass
class Estate(pulumi.runtime.Mocks):
    """What a program declared: inputs by type and logical name, and the options that mocks never see."""

    inputs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    raw: dict[str, dict[str, Any]] = field(default_factory=dict)  # by logical name, with secrets still wrapped
    options: dict[str, Any] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    secret_exports: set[str] = field(default_factory=set)

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """Inputs by logical name of ``sqs/queue:Queue`` and the like."""
        return self.inputs.get(f"aws:{type_}", {})

    @property
    def resources(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Type, logical name and inputs of everything of AWS's."""
        for type_, named in self.inputs.items():
            if type_.startswith("aws:"):
                for name, inputs in named.items():
                    yield type_, name, inputs

    def written(self) -> str:
        """All inputs as text that is the same for the same graph; archives by their path."""
        return json.dumps(self.inputs, sort_keys=True, default=lambda archive: archive.path)

    def granted(self, role: str) -> dict[str, dict[str, Any]]:
        """The statements that ``role`` (logical name without -role) was granted, by Sid."""
        written = json.loads(self.of("iam/rolePolicy:RolePolicy")[f"{role}-policy"]["policy"])
        return {statement["Sid"]: statement for statement in written["Statement"]}

    def secrets_in(self, name: str) -> set[str]:
        """The inputs of ``name`` that are secret for Pulumi, as a whole."""
        return {key for key, value in self.raw[name].items() if is_secret(value)}

    def in_clear(self) -> str:
        """All inputs as text, without what Pulumi keeps secret."""
        return json.dumps(_without_secrets(self.raw), default=str)

    def before(self, name: str) -> set[str]:
        """Logical names of what ``name`` waits for."""
        return {urn.split("::")[-1] for urn in self.options[name].dependencies}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        plain = unwrap(args.inputs)
        assert args.name not in self.inputs.get(args.typ, {}), f"{args.typ} {args.name} was declared twice"
        self.inputs.setdefault(args.typ, {})[args.name] = plain
        self.raw[args.name] = args.inputs
        outputs = {"arn": self._arn(args.typ, args.name, plain), **plain, **_computed(args.typ, args.name, plain)}
        return outputs.pop("id", f"{args.name}-id"), outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answer = _ANSWERS.get(args.token)
        if answer is None:
            raise NotImplementedError(f"{args.token} was invoked: give it an answer in _ANSWERS")
        return answer(args.args), []

    def _arn(self, type_: str, name: str, inputs: Mapping[str, Any]) -> str:
        service = type_.split(":")[1].split("/", maxsplit=1)[0]
        physical = inputs.get("name") or inputs.get("bucket") or inputs.get("identifier") or name
        if service == "s3":
            return f"arn:aws:s3:::{physical}"
        kind = {"kms": "key/", "dynamodb": "table/", "lambda": "function:", "iam": "role/"}.get(service, "")
        return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{kind}{physical}"


class _Monitor(MockMonitor):
    """Records what mocks are not told: the options."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate)
        self._estate = estate

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        self._estate.options[request.name] = request  # parent, provider, protect, aliases, dependencies
        return super().RegisterResource(request)


StandUp = Callable[..., Estate]


def _stand_up(
    program: Callable[[], Any],
    *,
    stack: str = "dev",
    config: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    into: Estate | None = None,
) -> Estate:
    """Run ``program`` to its end, all applies included; raises what any of it raised.

    ``into`` is the estate to fill, for a test that looks at what was declared before a failure.
    """
    estate = into or Estate()
    secrets = secrets or {}
    loop = asyncio.new_event_loop()  # before the mocks: they keep the loop that they find
    asyncio.set_event_loop(loop)
    try:
        set_root_resource(cast(Any, None))  # each run has a stack of its own to export from
        pulumi.runtime.set_mocks(estate, project="infrafabric", stack=stack, preview=False, monitor=_Monitor(estate))
        pulumi.runtime.set_all_config({**(config or {}), **secrets}, secret_keys=list(secrets))
        loop.run_until_complete(run_pulumi_func(lambda: _in_stack(program, estate)))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return estate


async def _in_stack(program: Callable[[], Any], estate: Estate) -> None:
    program()
    root = get_root_resource()
    assert isinstance(root, Stack)
    for name, value in root.outputs.items():
        output = pulumi.Output.from_input(value)
        estate.exports[name] = await output.future()
        if await output.is_secret():
            estate.secret_exports.add(name)


def _stand_up_stack(
    stack: str,
    changes: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] = SECRETS,
    into: Estate | None = None,
) -> Estate:
    from infra import program  # the AWS SDK takes a second to import, which the unit tests need not wait for

    config = stackfile.read(stack, changes)
    return _stand_up(program.stack, stack=stack, config=config, secrets=secrets, into=into)


@pytest.fixture
def stand_up() -> StandUp:
    """Run any program: ``stand_up(lambda: Bus("bus", …))``."""
    return _stand_up


@pytest.fixture
def stand_up_stack() -> StandUp:
    """Run the whole program of ``Pulumi.<stack>.yaml``, with settings changed by dotted path."""
    return _stand_up_stack


@pytest.fixture
def nothing() -> Estate:
    """An estate to stand a program up into that should declare nothing."""
    return Estate()


@pytest.fixture(scope="session")
def dev() -> Estate:
    return _stand_up_stack("dev")


@pytest.fixture(scope="session")
def prod() -> Estate:
    return _stand_up_stack("prod")


@pytest.fixture(scope="session", params=["dev", "prod"])
def estate(request: pytest.FixtureRequest) -> Estate:
    """Each stack in turn: what is asserted of it holds in all of them."""
    return request.getfixturevalue(request.param)


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and _SECRET_MARK in value


def unwrap(value: Any) -> Any:
    """``value`` with Pulumi's wrapping of secrets taken off, at any depth."""
    if is_secret(value):
        return unwrap(value["value"])
    if isinstance(value, dict):
        return {key: unwrap(inner) for key, inner in value.items()}
    return [unwrap(inner) for inner in value] if isinstance(value, list) else value


def _without_secrets(value: Any) -> Any:
    if is_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def public_key_der(key_id: str) -> str:
    """A real Ed25519 public key for a mock KMS key: the same one for the same key."""
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(key_id.encode()).digest())
    return base64.b64encode(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


_ANSWERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": ACCOUNT,
        "arn": "",
        "id": "",
        "userId": "",
    },
    "aws:kms/getPublicKey:getPublicKey": lambda args: {"publicKey": public_key_der(args["keyId"])},
}


def _computed(type_: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What AWS fills in for a type, as far as the program reads it."""
    fill_in = _COMPUTED.get(type_.removeprefix("aws:"))
    return fill_in(name, inputs) if fill_in else {}


def _queue(_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    url = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{inputs['name']}"
    return {"id": url, "url": url}


def _alias(_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{inputs['functionName']}:{inputs['name']}"
    return {"arn": arn, "invokeArn": f"arn:aws:apigateway:us-east-1:lambda:path/{arn}/invocations"}


def _database(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    managed = {"secretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:rds!{name}", "kmsKeyId": ""}
    return {
        "address": f"{inputs['identifier']}.mock.rds.amazonaws.com",
        "resourceId": "db-MOCK",
        "masterUserSecrets": [{**managed, "secretStatus": "active"}],
    }


def _rest_api(name: str, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"rootResourceId": f"{name}-root", "executionArn": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{name}"}


def _stage(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"invokeUrl": f"https://{name}.execute-api.us-east-1.amazonaws.com/{inputs['stageName']}"}


_COMPUTED: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "apigateway/apiKey:ApiKey": lambda *_: {"value": "mock-api-key-value-0123456789"},
    "apigateway/restApi:RestApi": _rest_api,
    "apigateway/stage:Stage": _stage,
    "cloudwatch/compositeAlarm:CompositeAlarm": lambda _, inputs: {"arn": f"arn:mock:{inputs['alarmName']}"},
    "ec2/eip:Eip": lambda name, _: {"allocationId": f"eipalloc-{name}"},
    "ec2/vpcEndpoint:VpcEndpoint": lambda name, _: {"prefixListId": f"pl-{name}"},
    "kms/key:Key": lambda name, _: {"keyId": f"{name}-id"},
    "lambda/alias:Alias": _alias,
    "lambda/function:Function": lambda *_: {"version": "7"},
    "lambda/invocation:Invocation": lambda *_: {"result": '{"applied": []}'},
    "rds/instance:Instance": _database,
    "s3/bucket:Bucket": lambda _, inputs: {"id": inputs["bucket"]},
    "secretsmanager/secretVersion:SecretVersion": lambda _, inputs: {"secretArn": inputs["secretId"]},
    "sqs/queue:Queue": _queue,
}
