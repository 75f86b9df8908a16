"""Mock outputs of AWS resources and invokes, as far as the program reads outputs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.graph.output_shape import in_state

ACCOUNT = "123456789012"
Outputs = dict[str, Any]


def invoke_outputs(token: str, args: Mapping[str, Any]) -> Outputs:
    """Return the mock outputs of an invoke.

    Raises:
        NotImplementedError: no mock outputs are defined for ``token``.
    """
    outputs = _INVOKES.get(token)
    if outputs is None:
        raise NotImplementedError(
            f"{token} was invoked, but has no mock outputs: add the token to _INVOKES in infra/graph/mock_outputs.py"
        )
    return outputs(args)


def resource_outputs(type_: str, name: str, inputs: Mapping[str, Any], region: str) -> tuple[str, Outputs]:
    """Return the id and the mock outputs of a resource with ``inputs``."""
    fill_in = _COMPUTED.get(type_.removeprefix("aws:"))
    computed = fill_in(name, inputs, region) if fill_in else {}
    outputs = in_state(type_, {"arn": _arn(type_, name, inputs, region), **inputs, **computed}, region)
    return outputs.pop("id", f"{name}-id"), outputs


def public_key_der(key_id: str) -> str:
    """Return a valid Ed25519 public key for a mock key; the same key id gives the same key."""
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(key_id.encode()).digest())
    return base64.b64encode(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _arn(type_: str, name: str, inputs: Mapping[str, Any], region: str) -> str:
    service = type_.split(":")[1].split("/", maxsplit=1)[0]
    physical = inputs.get("name") or inputs.get("bucket") or inputs.get("identifier") or name
    if service == "s3":
        return f"arn:aws:s3:::{physical}"
    kind = _ARN_KINDS.get(type_.removeprefix("aws:")) or _ARN_KINDS.get(service, "")
    return f"arn:aws:{service}:{'' if service == 'iam' else region}:{ACCOUNT}:{kind}{physical}"


_ARN_KINDS = {
    "dynamodb": "table/",
    "iam": "role/",
    "iam/policy:Policy": "policy/",
    "kms": "key/",
    "lambda": "function:",
    "rds/instance:Instance": "db:",
}


def _queue(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    url = f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{inputs['name']}"
    return {"id": url, "url": url}


def _alias(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{inputs['functionName']}:{inputs['name']}"
    return {"arn": arn, "invokeArn": f"arn:aws:apigateway:{region}:lambda:path/{arn}/invocations"}


def _database(name: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    managed = {"secretArn": f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:rds!{name}", "kmsKeyId": ""}
    return {
        "address": f"{inputs['identifier']}.mock.rds.amazonaws.com",
        "port": inputs.get("port") or 5432,
        "resourceId": "db-MOCK",
        "masterUserSecrets": [{**managed, "secretStatus": "active"}],
    }


def _rest_api(name: str, _: Mapping[str, Any], region: str) -> Outputs:
    return {"rootResourceId": f"{name}-root", "executionArn": f"arn:aws:execute-api:{region}:{ACCOUNT}:{name}"}


def _stage(name: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    return {"invokeUrl": f"https://{name}.execute-api.{region}.amazonaws.com/{inputs['stageName']}"}


def _vpc(name: str, inputs: Mapping[str, Any], _: str) -> Outputs:
    options = inputs.get("assignGeneratedIpv6CidrBlock")
    return {"id": f"{name}-id", "ipv6CidrBlock": "2001:db8:1234:1a00::/56" if options else ""}


def _bucket(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    name = inputs["bucket"]
    return {
        "id": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
    }


def _certificate(_: str, inputs: Mapping[str, Any], __: str) -> Outputs:
    """Return ACM's validation records, in another order than the names."""
    names = sorted({inputs["domainName"], *inputs.get("subjectAlternativeNames", ())}, reverse=True)
    options = [
        {
            "domainName": name,
            "resourceRecordName": f"_{hashlib.sha256(name.encode()).hexdigest()[:32]}.{name}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{hashlib.sha256(name.encode()).hexdigest()[32:]}.acm-validations.aws.",
        }
        for name in names
    ]
    return {"domainValidationOptions": options}


def _domain_name(name: str, _: Mapping[str, Any], region: str) -> Outputs:
    return {"regionalDomainName": f"d-{name}.execute-api.{region}.amazonaws.com", "regionalZoneId": "Z1UJRXOUMOOFQ8"}


def _load_balancer(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    arn = f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/app/{inputs['name']}/50dc6c495c0c9188"
    return {"arn": arn, "dnsName": f"{inputs['name']}-1.{region}.elb.amazonaws.com", "zoneId": "Z35SXDOTRQ7X7K"}


def _target_group(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    name = inputs["name"]
    return {"arn": f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:targetgroup/{name}/6d0ecf831eec9f09"}


def _distribution(name: str, _: Mapping[str, Any], __: str) -> Outputs:
    arn = f"arn:aws:cloudfront::{ACCOUNT}:distribution/{name}-id"
    return {"arn": arn, "domainName": "d111111abcdef8.cloudfront.net", "hostedZoneId": "Z2FDTNDATAQYW2"}


def _zone(name: str, _: Mapping[str, Any], __: str) -> Outputs:
    servers = [f"ns-{n}.awsdns-{n:02}.{tld}" for n, tld in enumerate(("com", "net", "org", "co.uk"))]
    return {"zoneId": f"{name}-id", "arn": f"arn:aws:route53:::hostedzone/{name}-id", "nameServers": servers}


def _log_group(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    return {"arn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{inputs['name']}"}


def _service_linked_role(_: str, inputs: Mapping[str, Any], __: str) -> Outputs:
    service, suffix = inputs["awsServiceName"], inputs.get("customSuffix", "")
    return {"arn": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRoleForAutoScaling_{suffix}"}


def _secret(_: str, inputs: Mapping[str, Any], region: str) -> Outputs:
    arn = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{inputs['name']}-AbCdEf"
    return {"id": arn, "arn": arn}


def api_key_id(name: str) -> str:
    """Return an API key's id of AWS's length, which the size of environment variables depends on."""
    return _hex(name)[:10]


def _hex(name: str) -> str:
    """Return 17 hexadecimal digits, the form of the IDs of EC2."""
    return hashlib.sha256(name.encode()).hexdigest()[:17]


_COMPUTED: dict[str, Callable[[str, Mapping[str, Any], str], Outputs]] = {
    "acm/certificate:Certificate": _certificate,
    "apigateway/apiKey:ApiKey": lambda name, *_: {
        "id": api_key_id(name),
        "value": f"mock-api-key-value-{name}",
    },
    "apigateway/domainName:DomainName": _domain_name,
    "apigateway/restApi:RestApi": _rest_api,
    "apigateway/stage:Stage": _stage,
    "cloudwatch/compositeAlarm:CompositeAlarm": lambda _, inputs, *__: {"arn": f"arn:mock:{inputs['alarmName']}"},
    "cloudfront/distribution:Distribution": _distribution,
    "cloudwatch/logGroup:LogGroup": _log_group,
    "ec2/eip:Eip": lambda name, *_: {"allocationId": f"eipalloc-{name}"},
    "ec2/launchTemplate:LaunchTemplate": lambda name, *_: {"id": f"lt-{_hex(name)}", "latestVersion": 3},
    "ec2/vpc:Vpc": _vpc,
    "ec2/vpcEndpoint:VpcEndpoint": lambda name, *_: {"prefixListId": f"pl-{name}"},
    "iam/openIdConnectProvider:OpenIdConnectProvider": lambda _, inputs, __: {
        "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{inputs['url'].removeprefix('https://')}"
    },
    "iam/serviceLinkedRole:ServiceLinkedRole": _service_linked_role,
    "kms/key:Key": lambda name, *_: {"keyId": f"{name}-id"},
    "kms/replicaKey:ReplicaKey": lambda name, *_: {"keyId": f"{name}-id"},
    "lambda/alias:Alias": _alias,
    "lambda/function:Function": lambda *_: {"version": "7"},
    "lambda/invocation:Invocation": lambda *_: {"result": '{"applied": []}'},
    "lb/loadBalancer:LoadBalancer": _load_balancer,
    "lb/targetGroup:TargetGroup": _target_group,
    "rds/instance:Instance": _database,
    "route53/zone:Zone": _zone,
    "s3/bucket:Bucket": _bucket,
    "secretsmanager/secret:Secret": _secret,
    "secretsmanager/secretVersion:SecretVersion": lambda _, inputs, __: {"secretArn": inputs["secretId"]},
    "sqs/queue:Queue": _queue,
}

_INVOKES: dict[str, Callable[[Mapping[str, Any]], Outputs]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": ACCOUNT,
        "arn": "",
        "id": "",
        "userId": "",
    },
    "aws:kms/getPublicKey:getPublicKey": lambda args: {"publicKey": public_key_der(args["keyId"])},
}
