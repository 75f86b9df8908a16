"""Resources that exist on the emulator, listed through the AWS APIs."""

from __future__ import annotations

from local.platform import Platform


def remaining_resources(platform: Platform) -> dict[str, list[str]]:
    """Return the names of all resources by kind, except KMS keys that are scheduled for deletion."""
    ec2, kms = platform.client("ec2"), platform.client("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return {
        "buckets": [b["Name"] for b in platform.client("s3").list_buckets()["Buckets"]],
        "queues": platform.client("sqs").list_queues().get("QueueUrls", []),
        "topics": [t["TopicArn"] for t in platform.client("sns").list_topics()["Topics"]],
        "functions": [f["FunctionName"] for f in platform.client("lambda").list_functions()["Functions"]],
        "mappings": [m["UUID"] for m in platform.client("lambda").list_event_source_mappings()["EventSourceMappings"]],
        "roles": [r["RoleName"] for r in platform.client("iam").list_roles()["Roles"]],
        "policies": [p["PolicyName"] for p in platform.client("iam").list_policies(Scope="Local")["Policies"]],
        "tables": platform.client("dynamodb").list_tables()["TableNames"],
        "databases": [d["DBInstanceIdentifier"] for d in platform.client("rds").describe_db_instances()["DBInstances"]],
        "secrets": [s["Name"] for s in platform.client("secretsmanager").list_secrets()["SecretList"]],
        "apis": [a["name"] for a in platform.client("apigateway").get_rest_apis()["items"]],
        "alarms": [a["AlarmName"] for a in platform.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "log groups": [g["logGroupName"] for g in platform.client("logs").describe_log_groups()["logGroups"]],
        "keys": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"],
        "networks": [v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"] if not v.get("IsDefault")],
        "endpoints": [e["VpcEndpointId"] for e in ec2.describe_vpc_endpoints()["VpcEndpoints"]],
    }
