"""Exports of a graph for Terraform: the plan and the configuration, with Terraform's names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from infra.graph.terraform.configuration import document, resources
from infra.graph.terraform.names import type_of
from infra.graph.terraform.plan import plan as plan_of

# Names that the rule does not produce, or whose result is surprising.
TYPES = {
    "aws:apigateway/response:Response": "aws_api_gateway_gateway_response",
    "aws:apigateway/restApi:RestApi": "aws_api_gateway_rest_api",
    "aws:cfg/recorder:Recorder": "aws_config_configuration_recorder",
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "aws_ce_anomaly_monitor",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "aws_vpc_endpoint",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:lb/targetGroup:TargetGroup": "aws_lb_target_group",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": "aws_s3_bucket_replication_configuration",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "aws_s3_bucket_server_side_encryption_configuration"
    ),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "aws_sqs_queue_redrive_allow_policy",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
    "aws:wafv2/webAcl:WebAcl": "aws_wafv2_web_acl",
}


@pytest.fixture(scope="session")
def graph(prod):
    return prod.graph("prod")


@pytest.fixture(scope="session")
def plan(graph):
    return plan_of(graph, "us-east-1")


def planned(plan, address):
    return next(r["values"] for r in plan["planned_values"]["root_module"]["resources"] if r["address"] == address)


def keys(value: Any) -> Iterator[str]:
    """Return every name in a plan's values, without user-defined keys."""
    if isinstance(value, list):
        for one in value:
            yield from keys(one)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            if isinstance(inner, list):  # a mapping in a plan has user-defined keys
                yield from keys(inner)


@pytest.mark.parametrize(("token", "name"), TYPES.items())
def test_a_type_has_terraforms_name(token, name):
    assert type_of(token) == name


def test_every_name_in_a_plan_is_one_that_terraform_could_have(plan):
    for resource in plan["planned_values"]["root_module"]["resources"]:
        assert re.fullmatch(r"aws_[a-z0-9_]+", resource["type"])
        odd = [key for key in keys(resource["values"]) if not re.fullmatch(r"[a-z][a-z0-9_]*", key)]
        assert odd == [], resource["address"]


def test_every_resource_is_in_the_plan_once(graph, plan):
    addresses = [r["address"] for r in plan["planned_values"]["root_module"]["resources"]]
    assert len(addresses) == len(set(addresses)) == len(list(graph.custom))


def test_blocks_are_lists_with_terraforms_names(plan):
    table = planned(plan, "aws_dynamodb_table.sessions-table")
    assert table["point_in_time_recovery"] == [{"enabled": True}]
    assert {"name", "type"} == set(table["attribute"][0])
    assert "attributes" not in table
    rule = planned(plan, "aws_s3_bucket_lifecycle_configuration.storage-results-lifecycle")["rule"][0]
    assert "status" in rule
    function = planned(plan, "aws_lambda_function.agents-h01-function")
    assert function["environment"][0]["variables"]["MODEL_PROVIDER"] == "anthropic"
    assert function["function_name"] == "infrafabric-prod-h01"


def test_a_map_named_tags_is_a_block_where_it_holds_lists(plan):
    budget = planned(plan, "aws_budgets_budget.spending-budget")
    both = budget["filter_expression"][0]["and"]
    assert both[0]["tags"] == [{"key": "Project", "values": ["infrafabric"], "match_options": ["EQUALS"]}]
    assert budget["tags"]["Project"] == "infrafabric"


def test_a_list_that_pulumi_writes_as_one_text_is_a_list(plan):
    api = planned(plan, "aws_api_gateway_rest_api.api-gateway-rest")
    assert api["endpoint_configuration"] == [{"types": ["REGIONAL"]}]


def test_a_number_is_whole_where_it_was(plan):
    assert repr(planned(plan, "aws_lb_listener.face-app-front-https")["port"]) == "443"


def test_what_comes_from_another_resource_is_a_reference_and_not_a_value(plan):
    name = "aws_s3_bucket_versioning.storage-results-versions"
    assert planned(plan, name)["bucket"] is None
    written = plan["configuration"]["root_module"]["resources"]
    expressions = next(r["expressions"] for r in written if r["address"] == name)
    bucket = "aws_s3_bucket.storage-results-bucket"
    assert expressions["bucket"] == {"references": [f"{bucket}.id", bucket]}


def test_a_document_is_known_although_others_are_named_in_it(plan):
    assert planned(plan, "aws_iam_role_policy.api-policy")["policy"].startswith("{")


@pytest.fixture(scope="session")
def linked(graph):
    return resources(graph, references=True)


@pytest.fixture(scope="session")
def literal(graph):
    return resources(graph, references=False)


def test_an_argument_that_is_an_output_of_another_resource_is_a_reference(linked, literal):
    mapping = ("aws_lambda_event_source_mapping", "agents-h01-inbox")
    assert linked[mapping[0]][mapping[1]]["event_source_arn"] == "${aws_sqs_queue.bus-h01-queue.arn}"
    assert literal[mapping[0]][mapping[1]]["event_source_arn"].startswith("arn:aws:sqs:")
    variables = linked["aws_lambda_function"]["migrator-function"]["environment"][0]["variables"]
    assert variables["MASTER_SECRET_ARN"] == "${aws_secretsmanager_secret_version.database-master-value.secret_id}"


def test_an_output_inside_a_longer_text_is_a_literal(linked):
    policy = linked["aws_iam_role_policy"]["agents-h01-policy"]["policy"]
    assert "arn:aws:sqs:" in policy
    assert "${" not in policy.replace("$${", "")


def test_a_text_of_ours_is_no_template_for_terraform(linked, graph):
    before = graph.of("iam/rolePolicy:RolePolicy")["face-app-tenant-policy"].inputs["policy"]
    assert "${aws:" in before  # a policy variable of IAM
    assert linked["aws_iam_role_policy"]["face-app-tenant-policy"]["policy"] == before.replace("${", "$${")


def test_a_name_has_only_characters_that_terraform_allows(lavish):
    subscriptions = resources(lavish.graph("prod"), references=True)["aws_sns_topic_subscription"]
    assert subscriptions["alerts-email-ops_40_example_2e_org"]["endpoint"] == "ops@example.org"


def test_a_resource_in_another_region_has_that_regions_provider(graph, literal):
    written = document(literal, graph, "5.100.0")
    assert {one.get("alias"): one["region"] for one in written["provider"]["aws"]} == {
        None: "us-east-1",
        "us-east-1": "us-east-1",
        "us-west-2": "us-west-2",
    }
    key = next(r for r in graph.custom if r.inputs.get("region") == "us-west-2")
    args = written["resource"][type_of(key.type)][key.name]
    assert args["provider"] == "aws.us-west-2"
    assert "region" not in args
    assert len([name for named in written["resource"].values() for name in named]) == len(list(graph.custom))
