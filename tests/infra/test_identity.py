"""Frozen identities: component type tokens, and the URNs of every resource that is stateful or protected.

Pulumi finds a resource in its state by URN, which contains the component's type token and the logical name. A resource
under a new URN is created anew and the old one is deleted, together with its data.
"""

from __future__ import annotations

import re

import pytest

from infra.pages import components_table
from tests.conftest import Estate

RENAMED = (
    "an identity changed, so an update would replace the resource: keep the old name or token; if the change is "
    "needed, give the resource aliases=[pulumi.Alias(...)] with the old identity, and change this list"
)
TOKENS = {
    "infrafabric:api:Api",
    "infrafabric:api:ClientKeys",
    "infrafabric:api:Gateway",
    "infrafabric:compute:Function",
    "infrafabric:compute:Runtime",
    "infrafabric:front:ApiDomain",
    "infrafabric:front:App",
    "infrafabric:front:Certificate",
    "infrafabric:front:Colour",
    "infrafabric:front:Dns",
    "infrafabric:front:Edge",
    "infrafabric:front:Face",
    "infrafabric:front:HealthAlarm",
    "infrafabric:front:LoadBalancer",
    "infrafabric:front:PublicName",
    "infrafabric:front:Tenants",
    "infrafabric:front:WebAcl",
    "infrafabric:guardrails:AccountBaseline",
    "infrafabric:guardrails:Backups",
    "infrafabric:guardrails:ConfigurationHistory",
    "infrafabric:guardrails:Detection",
    "infrafabric:guardrails:GithubOidc",
    "infrafabric:guardrails:Spending",
    "infrafabric:guardrails:Trail",
    "infrafabric:messaging:Bus",
    "infrafabric:messaging:DeadLetterQueue",
    "infrafabric:messaging:Queue",
    "infrafabric:model:Model",
    "infrafabric:network:Attachment",
    "infrafabric:network:Endpoints",
    "infrafabric:network:FlowLogs",
    "infrafabric:network:Isolation",
    "infrafabric:network:Network",
    "infrafabric:operations:Alarms",
    "infrafabric:operations:Alerts",
    "infrafabric:operations:Dashboards",
    "infrafabric:operations:Queries",
    "infrafabric:operations:Watchdog",
    "infrafabric:security:Boundary",
    "infrafabric:security:Keys",
    "infrafabric:storage:Bucket",
    "infrafabric:storage:Database",
    "infrafabric:storage:Migrator",
    "infrafabric:storage:Replication",
    "infrafabric:storage:Sessions",
    "infrafabric:storage:Storage",
    "infrafabric:swarm:AgentFleet",
    "infrafabric:swarm:Coordinator",
    "infrafabric:swarm:LeaseTable",
    "infrafabric:swarm:Recorder",
}

STATEFUL = {
    "apigateway/apiKey:ApiKey",
    "backup/vault:Vault",
    "dynamodb/table:Table",
    "kms/key:Key",
    "kms/replicaKey:ReplicaKey",
    "rds/instance:Instance",
    "route53/zone:Zone",
    "s3/bucket:Bucket",
    "secretsmanager/secret:Secret",
    "sns/topic:Topic",
    "sqs/queue:Queue",
}
# URN without stack and project; h01 stands for every agent.
EVERY_STACK = {
    "infrafabric:api:ClientKeys$aws:apigateway/apiKey:ApiKey::api-clients-default-current",
    "infrafabric:messaging:Bus$aws:sns/topic:Topic::bus-topic",
    "infrafabric:messaging:DeadLetterQueue$aws:sqs/queue:Queue::bus-h01-dlq-queue",
    "infrafabric:messaging:DeadLetterQueue$aws:sqs/queue:Queue::coordinator-dlq-queue",
    "infrafabric:messaging:DeadLetterQueue$aws:sqs/queue:Queue::recorder-dlq-queue",
    "infrafabric:messaging:DeadLetterQueue$aws:sqs/queue:Queue::watchdog-dlq-queue",
    "infrafabric:messaging:Queue$aws:sqs/queue:Queue::bus-h01-queue",
    "infrafabric:messaging:Queue$aws:sqs/queue:Queue::recorder-queue",
    "infrafabric:operations:Alerts$aws:sns/topic:Topic::alerts-topic",
    "infrafabric:security:Keys$aws:kms/key:Key::keys-coordinator",
    "infrafabric:security:Keys$aws:kms/key:Key::keys-h01",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-logs-bucket",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-state-bucket",
    "infrafabric:storage:Database$aws:rds/instance:Instance::database-instance",
    "infrafabric:swarm:LeaseTable$aws:dynamodb/table:Table::agents-h01-leases-table",
}
EVERY_PRIMARY = {
    "infrafabric:model:Model$aws:secretsmanager/secret:Secret::model-api-key",
    "infrafabric:security:Keys$aws:kms/key:Key::keys-data",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-assets-bucket",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-results-bucket",
    "infrafabric:storage:Sessions$aws:dynamodb/table:Table::sessions-table",
}
PROD = {
    "infrafabric:front:Dns$aws:route53/zone:Zone::face-dns-zone",
    "infrafabric:front:LoadBalancer$aws:lb/loadBalancer:LoadBalancer::face-app-front-balancer",
    "infrafabric:guardrails:Backups$aws:backup/vault:Vault::backups-vault",
    "infrafabric:network:Network$aws:ec2/vpc:Vpc::network-vpc",
    "infrafabric:security:Keys$aws:kms/replicaKey:ReplicaKey::keys-data-copy",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-assets-copy-bucket",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::storage-results-copy-bucket",
    "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::trail-audit-bucket",
    "infrafabric:storage:Database$aws:secretsmanager/secret:Secret::database-master",
}
ROTATED = {
    "infrafabric:security:Keys$aws:kms/key:Key::keys-coordinator-g2",
    "infrafabric:security:Keys$aws:kms/key:Key::keys-h01-g4",
}
IDENTITIES = {
    "dev": EVERY_STACK | EVERY_PRIMARY,
    "prod": EVERY_STACK | EVERY_PRIMARY | PROD,
    "rotating": (EVERY_STACK | EVERY_PRIMARY | ROTATED) - {"infrafabric:security:Keys$aws:kms/key:Key::keys-h01"},
    "standby": EVERY_STACK | {"infrafabric:network:Network$aws:ec2/vpc:Vpc::network-vpc"},
    "lavish": EVERY_STACK
    | EVERY_PRIMARY
    | PROD
    | {
        "infrafabric:front:Dns$aws:kms/key:Key::face-dns-signing",
        "infrafabric:storage:Bucket$aws:s3/bucket:Bucket::config-history-bucket",
    },
}


def identities(estate: Estate) -> set[str]:
    """URNs of the estate's stateful and protected resources, without stack and project, agents collapsed to h01."""
    found = set()
    for (type_, _), (request, urn) in estate.registered.items():
        if type_.removeprefix("aws:") in STATEFUL or request.protect:
            found.add(re.sub(r"\bh\d\d\b", "h01", urn.split("::", maxsplit=2)[2]))
    return found


def test_component_type_tokens_are_frozen():
    assert {component.token for component in components_table.components()} == TOKENS, RENAMED


@pytest.mark.parametrize("stack", IDENTITIES)
def test_stateful_and_protected_resources_keep_their_urns(request, stack):
    assert identities(request.getfixturevalue(stack)) == IDENTITIES[stack], RENAMED


def test_every_agent_has_the_identities_of_the_first(prod):
    """Collapsed to h01, an agent under another name would go unnoticed."""
    queues = {name for name in prod.of("sqs/queue:Queue") if name.startswith("bus-")}
    agents = [f"h{number:02}" for number in range(1, 11)]
    assert queues == {f"bus-{agent}-{kind}" for agent in agents for kind in ("queue", "dlq-queue")}, RENAMED
    keys = {name for name in prod.of("kms/key:Key") if re.fullmatch(r"keys-h\d\d", name)}
    assert keys == {f"keys-{agent}" for agent in agents}, RENAMED


def test_the_key_that_clients_have_from_release_0_1_is_the_default_clients(estate):
    (alias,) = estate.options["api-clients-default-current"].aliases
    assert alias.spec.name == "api-gateway-key"
    assert re.fullmatch(
        r"urn:pulumi:[a-z-]+::[a-z]+::infrafabric:api:Api\$infrafabric:api:Gateway::api-gateway", alias.spec.parentUrn
    )
