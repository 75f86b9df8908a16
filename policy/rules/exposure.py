"""Exposure to the internet: public addresses, open ports, public buckets and policies, web ACLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import DEFENCE, EXPOSURE
from policy.documents import allows_everyone, has_source_condition, statement_label, statements
from policy.rule import Rule, Subject, Violation, as_list, of_type, value_at

WORLD = {"0.0.0.0/0", "::/0"}
PUBLIC_PORTS = {80, 443}  # of load balancers: redirect to HTTPS, and HTTPS
_BLOCK_SETTINGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _database(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("publiclyAccessible") is True:
        yield "is publicly accessible (publiclyAccessible)"


def _ingress_rule(resource: Subject, _: Config) -> Iterator[str]:
    if WORLD & {resource.value("cidrIpv4"), resource.value("cidrIpv6")}:
        ports = {resource.value("fromPort"), resource.value("toPort")}
        if not ports <= PUBLIC_PORTS or len(ports) != 1:
            yield f"opens port {resource.value('fromPort')} to the internet"


def _inline_rules(resource: Subject, _: Config) -> Iterator[str]:
    for rule in as_list(resource.value("ingress")):
        if WORLD & {*as_list(value_at(rule, "cidrBlocks")), *as_list(value_at(rule, "ipv6CidrBlocks"))}:
            yield f"opens port {value_at(rule, 'fromPort')} to the internet"


def _buckets(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    blocked = {
        resource.props["bucket"]
        for resource in of_type(subjects, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
        if all(resource.value(setting) is True for setting in _BLOCK_SETTINGS)
    }
    for resource in of_type(subjects, "s3/bucket:Bucket"):
        if resource.props["bucket"] not in blocked:
            yield resource, "has no public access block with all four settings"


def _resource_policy(resource: Subject, _: Config) -> Iterator[str]:
    for statement in statements(resource.value("policy"), "Allow"):
        if allows_everyone(statement) and not has_source_condition(statement):
            yield f"allows every principal in {statement_label(statement)}"


def _permission(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("principal") == "*":
        yield "allows every principal to invoke the function"
    elif not resource.has("sourceArn") and not resource.has("sourceAccount"):
        yield "allows a service to invoke the function for any account (no sourceArn)"


def _instances(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("metadataOptions", "httpTokens") != "required":
        yield "allows IMDSv1 (metadataOptions.httpTokens)"
    for interface in as_list(resource.value("networkInterfaces")):
        if str(value_at(interface, "associatePublicIpAddress")).lower() == "true":
            yield "gives instances public addresses"
    if resource.has("keyName"):
        yield "has an SSH key pair (keyName)"


def _shielded(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    shielded = {
        resource.props["resourceArn"] for resource in of_type(subjects, "wafv2/webAclAssociation:WebAclAssociation")
    }
    for resource in of_type(subjects, "lb/loadBalancer:LoadBalancer", "apigateway/stage:Stage"):
        if resource.value("internal") is not True and resource.props["arn"] not in shielded:
            yield resource, "is public and has no web ACL"
    for resource in of_type(subjects, "cloudfront/distribution:Distribution"):
        if not resource.has("webAclId"):
            yield resource, "is public and has no web ACL"


RULES = (
    Rule(
        name="database-private",
        description="Databases are not publicly accessible.",
        severity="critical",
        remediation="Remove publiclyAccessible, or set publiclyAccessible to false.",
        controls=EXPOSURE,
        types=frozenset({"aws:rds/instance:Instance"}),
        check=_database,
    ),
    Rule(
        name="ingress-closed",
        description="Security group rules open only ports 80 and 443 to the internet.",
        severity="critical",
        remediation="Set a security group as the source (referencedSecurityGroupId) instead of addresses.",
        controls=EXPOSURE,
        types=frozenset({"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"}),
        check=_ingress_rule,
    ),
    Rule(
        name="ingress-apart",
        description="Security groups have no inline rules that open ports to the internet.",
        severity="critical",
        remediation="Declare ingress rules as SecurityGroupIngressRule resources, which ingress-closed checks.",
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
        description='Resource policies name their principals, or restrict "*" by account, organization or source ARN.',
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
        check=_resource_policy,
    ),
    Rule(
        name="function-invoked-by-ours",
        description="Services invoke a function only for a named source ARN or account.",
        severity="high",
        remediation="Set sourceArn to the API, rule or queue that invokes the function.",
        controls=EXPOSURE,
        types=frozenset({"aws:lambda/permission:Permission"}),
        check=_permission,
    ),
    Rule(
        name="instance-hardened",
        description="Instances require IMDSv2, and have neither SSH key pairs nor public addresses.",
        severity="high",
        remediation="Set metadataOptions.httpTokens to required; remove keyName (use Session Manager for a shell) and "
        "associatePublicIpAddress.",
        controls=EXPOSURE,
        types=frozenset({"aws:ec2/launchTemplate:LaunchTemplate"}),
        check=_instances,
    ),
    Rule(
        name="public-shielded",
        description="In prod, public load balancers, API stages and CloudFront distributions have a web ACL.",
        severity="high",
        remediation="Set api.waf and app.waf to true; do not remove the web ACL of edge.",
        controls=DEFENCE,
        prod_only=True,
        check_stack=_shielded,
    ),
)
