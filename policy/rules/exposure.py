"""Nothing is reachable from the world but what is public by purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import DEFENCE, EXPOSURE
from policy.documents import called, everybody, narrowed, statements
from policy.rule import Rule, Subject, Violation, given, inner, items, of

WORLD = {"0.0.0.0/0", "::/0"}
PUBLIC_PORTS = {80, 443}  # of a load balancer: the redirect, and TLS
_LOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _database(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "publiclyAccessible") is True:
        yield "has a public address"


def _ingress_rule(it: Subject, _: Config) -> Iterator[str]:
    if WORLD & {inner(it.props, "cidrIpv4"), inner(it.props, "cidrIpv6")}:
        ports = {inner(it.props, "fromPort"), inner(it.props, "toPort")}
        if not ports <= PUBLIC_PORTS or len(ports) != 1:
            yield f"lets the world in at port {inner(it.props, 'fromPort')}"


def _inline_rules(it: Subject, _: Config) -> Iterator[str]:
    for door in items(inner(it.props, "ingress")):
        if WORLD & {*items(inner(door, "cidrBlocks")), *items(inner(door, "ipv6CidrBlocks"))}:
            yield f"lets the world in at port {inner(door, 'fromPort')}"


def _buckets(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    closed = {
        it.props["bucket"]
        for it in of(subjects, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
        if all(inner(it.props, lock) is True for lock in _LOCKS)
    }
    for it in of(subjects, "s3/bucket:Bucket"):
        if it.props["bucket"] not in closed:
            yield it, "has no public access block with all four locks"


def _own_policy(it: Subject, _: Config) -> Iterator[str]:
    for statement in statements(inner(it.props, "policy"), "Allow"):
        if everybody(statement) and not narrowed(statement):
            yield f"allows everybody in {called(statement)}"


def _permission(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "principal") == "*":
        yield "lets everybody invoke a function"
    elif not given(it.props, "sourceArn") and not given(it.props, "sourceAccount"):
        yield "lets a service invoke a function for any account (no sourceArn)"


def _instances(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "metadataOptions", "httpTokens") != "required":
        yield "answers requests for credentials without a token (IMDSv1)"
    for card in items(inner(it.props, "networkInterfaces")):
        if str(inner(card, "associatePublicIpAddress")).lower() == "true":
            yield "gives its instances public addresses"
    if given(it.props, "keyName"):
        yield "has a key pair: sessions come through Systems Manager"


def _shielded(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    shielded = {it.props["resourceArn"] for it in of(subjects, "wafv2/webAclAssociation:WebAclAssociation")}
    for it in of(subjects, "lb/loadBalancer:LoadBalancer", "apigateway/stage:Stage"):
        if inner(it.props, "internal") is not True and it.props["arn"] not in shielded:
            yield it, "is public and has no web ACL"
    for it in of(subjects, "cloudfront/distribution:Distribution"):
        if not given(it.props, "webAclId"):
            yield it, "is public and has no web ACL"


RULES = (
    Rule(
        name="database-private",
        description="No database has a public address.",
        severity="critical",
        remediation="Leave publiclyAccessible out, or set it to false.",
        controls=EXPOSURE,
        types=frozenset({"aws:rds/instance:Instance"}),
        check=_database,
    ),
    Rule(
        name="ingress-closed",
        description="The world reaches ports 80 and 443 of load balancers, and no other.",
        severity="critical",
        remediation="Name a security group as the source (referencedSecurityGroupId) instead of addresses.",
        controls=EXPOSURE,
        types=frozenset({"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"}),
        check=_ingress_rule,
    ),
    Rule(
        name="ingress-apart",
        description="No security group opens itself to the world with rules of its own.",
        severity="critical",
        remediation="Declare rules as resources of their own, where ingress-closed sees them.",
        controls=EXPOSURE,
        types=frozenset({"aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"}),
        check=_inline_rules,
    ),
    Rule(
        name="bucket-closed",
        description="Every bucket blocks all public access.",
        severity="critical",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls=EXPOSURE,
        check_stack=_buckets,
    ),
    Rule(
        name="policy-names-principals",
        description="A resource's own policy allows nobody whom it does not name, or narrow by account or source.",
        severity="critical",
        remediation="Name the principal, or add a condition on aws:PrincipalAccount, aws:SourceArn or the like.",
        controls=EXPOSURE,
        types=frozenset(
            {
                "aws:kms/key:Key",
                "aws:kms/replicaKey:ReplicaKey",
                "aws:s3/bucketPolicy:BucketPolicy",
                "aws:secretsmanager/secretPolicy:SecretPolicy",
                "aws:sns/topicPolicy:TopicPolicy",
                "aws:sqs/queuePolicy:QueuePolicy",
            }
        ),
        check=_own_policy,
    ),
    Rule(
        name="function-invoked-by-ours",
        description="A service may invoke a function for one source of ours, not for anybody's.",
        severity="high",
        remediation="Set sourceArn to the API, rule or queue that invokes.",
        controls=EXPOSURE,
        types=frozenset({"aws:lambda/permission:Permission"}),
        check=_permission,
    ),
    Rule(
        name="instance-hardened",
        description="Instances want a token for credentials, and have neither key pairs nor public addresses.",
        severity="high",
        remediation="Set metadataOptions.httpTokens to required; leave keyName and associatePublicIpAddress out.",
        controls=EXPOSURE,
        types=frozenset({"aws:ec2/launchTemplate:LaunchTemplate"}),
        check=_instances,
    ),
    Rule(
        name="public-shielded",
        description="In prod, what is public stands behind a web ACL.",
        severity="high",
        remediation="Set api.waf and app.waf, and leave edge its web ACL.",
        controls=DEFENCE,
        prod_only=True,
        check_stack=_shielded,
    ),
)
