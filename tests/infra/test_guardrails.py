"""Guardrails: boundary, audit trail, budget, detection, backups, and the roles of GitHub Actions."""

from __future__ import annotations

import fnmatch
import json
from typing import get_args

import pulumi
import pytest

from infra.guardrails import boundary
from infra.settings import Settings
from infrafabric.operators import bootstrap

BOUNDARY = "arn:aws:iam::123456789012:policy/infrafabric-prod-boundary"
TOPIC = "arn:aws:sns:us-east-1:123456789012:infrafabric-prod-alerts"
AUDIT = "infrafabric-prod-audit-123456789012-us-east-1"
TRAIL = "arn:aws:cloudtrail:us-east-1:123456789012:trail/infrafabric-prod-trail"


def statements(text):
    return {s["Sid"]: s for s in json.loads(text)["Statement"]}


def denied(action, regions=("eu-west-1",), region="eu-west-1"):
    """Return True if the boundary denies ``action`` on a request to ``region``."""
    for statement in boundary.statements(regions):
        if statement["Effect"] != "Deny":
            continue
        if "Action" in statement:
            hit = any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["Action"])
        else:
            elsewhere = region not in statement["Condition"]["StringNotEquals"]["aws:RequestedRegion"]
            hit = elsewhere and not any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["NotAction"])
        if hit:
            return True
    return False


def test_every_role_carries_the_boundary_but_those_that_make_roles(lavish):
    bare = {n for n, role in lavish.of("iam/role:Role").items() if role.get("permissionsBoundary") != BOUNDARY}
    assert bare == {"github-preview", "github-drift", "github-deploy"}


@pytest.mark.parametrize(
    "action",
    [
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:AttachRolePolicy",
        "iam:DeleteRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy",
        "iam:SetDefaultPolicyVersion",
        "organizations:LeaveOrganization",
        "cloudtrail:StopLogging",
        "guardduty:DeleteDetector",
        "s3:BypassGovernanceRetention",
        "budgets:ModifyBudget",
        "kms:ScheduleKeyDeletion",
    ],
)
def test_no_role_can_widen_itself_leave_or_disarm_the_guardrails(action):
    assert denied(action)


@pytest.mark.parametrize("action", ["dynamodb:GetItem", "kms:Sign", "iam:PassRole", "iam:GetRole", "logs:PutLogEvents"])
def test_the_boundary_leaves_alone_what_functions_do(action):
    assert not denied(action)


def test_roles_act_in_the_allowed_regions_alone_except_where_aws_knows_none():
    assert denied("s3:PutObject", region="ap-south-1")
    assert not denied("s3:PutObject", regions=("eu-west-1", "ap-south-1"), region="ap-south-1")
    assert not denied("iam:GetRole", region="us-east-1")
    assert not denied("bedrock:InvokeModel", region="eu-north-1"), "an inference profile hands requests on"


def test_every_grant_of_the_estate_gets_past_the_boundary(lavish):
    for name, policy in lavish.of("iam/rolePolicy:RolePolicy").items():
        if name.startswith("github-"):
            continue
        for statement in json.loads(policy["policy"])["Statement"]:
            assert not [a for a in statement["Action"] if denied(a)], f"{name} {statement['Sid']} is granted in vain"


def test_the_trail_sees_all_regions_and_shows_when_somebody_changed_its_log(prod):
    (trail,) = prod.of("cloudtrail/trail:Trail").values()
    assert (trail["isMultiRegionTrail"], trail["enableLogFileValidation"]) == (True, True)
    assert (trail["includeGlobalServiceEvents"], trail["s3BucketName"]) == (True, AUDIT)
    assert trail["kmsKeyId"].endswith("keys-data")
    assert "trail-audit-policy" in prod.before("trail-trail"), "CloudTrail tries the bucket when it is made"


def test_the_audit_log_cannot_be_deleted_before_its_time_and_goes_after_it(prod):
    assert prod.of("s3/bucket:Bucket")["trail-audit-bucket"]["objectLockEnabled"] is True
    (lock,) = prod.of("s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration").values()
    assert lock["rule"]["defaultRetention"] == {"mode": "GOVERNANCE", "days": 365}
    rules = prod.of("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")["trail-audit-lifecycle"]["rules"]
    assert [r["expiration"]["days"] for r in rules if "expiration" in r] == [366]


def test_only_this_stacks_trail_writes_to_the_audit_log_and_uses_the_key(prod):
    written = statements(prod.of("s3/bucketPolicy:BucketPolicy")["trail-audit-policy"]["policy"])
    assert written["TrailWrites"]["Resource"] == f"arn:aws:s3:::{AUDIT}/AWSLogs/123456789012/*"
    condition = {"aws:SourceArn": TRAIL, "s3:x-amz-acl": "bucket-owner-full-control"}
    assert written["TrailWrites"]["Condition"] == {"StringEquals": condition}
    lent = statements(prod.of("kms/key:Key")["keys-data"]["policy"])["TrailOfThisAccount"]
    assert lent["Condition"]["StringEquals"] == {"aws:SourceArn": TRAIL}


def test_the_trail_may_decrypt_which_cloudtrail_demands_of_a_bucket_with_a_bucket_key(prod):
    kind = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert prod.of(kind)["trail-audit-encryption"]["rules"][0]["bucketKeyEnabled"] is True
    lent = statements(prod.of("kms/key:Key")["keys-data"]["policy"])["TrailOfThisAccount"]
    assert set(lent["Action"]) == {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"}


def test_the_budget_is_of_this_stack_and_speaks_at_the_threshold_and_before_the_limit(prod):
    (budget,) = prod.of("budgets/budget:Budget").values()
    assert (budget["limitAmount"], budget["timeUnit"]) == ("500.00", "MONTHLY")
    filtered = {f["tags"]["key"]: f["tags"]["values"] for f in budget["filterExpression"]["ands"]}
    assert filtered == {"Project": ["infrafabric"], "Environment": ["prod"]}
    said = [(n["notificationType"], n["threshold"], n["thresholdType"]) for n in budget["notifications"]]
    assert said == [
        ("ACTUAL", 100, "ABSOLUTE_VALUE"),
        ("ACTUAL", 100, "PERCENTAGE"),
        ("FORECASTED", 100, "PERCENTAGE"),
    ]
    assert {tuple(n["subscriberSnsTopicArns"]) for n in budget["notifications"]} == {(TOPIC,)}


def test_thirty_per_cent_over_the_expected_cost_is_an_anomaly_but_not_of_a_dollar(lavish):
    (subscription,) = lavish.of("costexplorer/anomalySubscription:AnomalySubscription").values()
    limits = {e["dimension"]["key"]: e["dimension"]["values"] for e in subscription["thresholdExpression"]["ands"]}
    assert limits == {"ANOMALY_TOTAL_IMPACT_PERCENTAGE": ["30"], "ANOMALY_TOTAL_IMPACT_ABSOLUTE": ["10"]}
    assert subscription["frequency"] == "IMMEDIATE", "AWS sends no summary to a topic"
    (monitor,) = lavish.of("costexplorer/anomalyMonitor:AnomalyMonitor").values()
    assert json.loads(monitor["monitorSpecification"])["Tags"]["Values"] == ["infrafabric-prod"]
    assert monitor["name"].endswith("-infrafabric-prod"), "what replaces it is made before it goes"


def test_a_monitor_by_service_needs_no_management_account_and_names_no_tag(frugal):
    (monitor,) = frugal.of("costexplorer/anomalyMonitor:AnomalyMonitor").values()
    assert (monitor["monitorType"], monitor["monitorDimension"]) == ("DIMENSIONAL", "SERVICE")
    assert "monitorSpecification" not in monitor


def test_a_first_deployment_declares_no_anomaly_monitor_because_a_member_account_may_lack_the_right(dev, prod, standby):
    for estate in (dev, prod, standby):
        assert not estate.of("costexplorer/anomalyMonitor:AnomalyMonitor")
        assert not estate.of("costexplorer/anomalySubscription:AnomalySubscription")


def test_what_an_account_has_once_is_prods(dev, prod):
    once = {
        "cloudtrail/trail:Trail",
        "guardduty/detector:Detector",
        "iam/accountPasswordPolicy:AccountPasswordPolicy",
        "s3/accountPublicAccessBlock:AccountPublicAccessBlock",
        "ebs/encryptionByDefault:EncryptionByDefault",
    }
    assert {type_ for type_ in once if dev.of(type_)} == set()
    assert {type_ for type_ in once if not prod.of(type_)} == set()


def test_the_account_hands_out_nothing_by_accident(prod):
    (buckets,) = prod.of("s3/accountPublicAccessBlock:AccountPublicAccessBlock").values()
    locks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(buckets[lock] is True for lock in locks)
    (passwords,) = prod.of("iam/accountPasswordPolicy:AccountPasswordPolicy").values()
    assert (passwords["minimumPasswordLength"], passwords["passwordReusePrevention"]) == (16, 24)


def test_a_severe_finding_reaches_somebody(prod):
    rule = prod.of("cloudwatch/eventRule:EventRule")["detection-threats"]
    assert json.loads(rule["eventPattern"])["detail"] == {"severity": [{"numeric": [">=", 7.0]}]}
    assert prod.of("cloudwatch/eventTarget:EventTarget")["detection-threats-target"]["arn"] == TOPIC


def test_config_starts_once_it_can_deliver_and_never_into_a_locked_bucket(lavish):
    (channel,) = lavish.of("cfg/deliveryChannel:DeliveryChannel").values()
    assert channel["s3BucketName"] == "infrafabric-prod-config-123456789012-us-east-1"
    assert "objectLockEnabled" not in lavish.of("s3/bucket:Bucket")["config-history-bucket"]
    assert "config-channel" in lavish.before("config-on")
    write = lavish.granted("config")["WriteHistory"]
    assert write["Action"] == ["s3:PutObject", "s3:PutObjectAcl"], "Config sets an ACL on each object"
    assert write["Resource"] == [f"arn:aws:s3:::{channel['s3BucketName']}/config/AWSLogs/123456789012/*"]


def test_security_hub_checks_one_standard(lavish):
    (standard,) = lavish.of("securityhub/standardsSubscription:StandardsSubscription").values()
    arn = "arn:aws:securityhub:us-east-1::standards/aws-foundational-security-best-practices/v/1.0.0"
    assert standard["standardsArn"] == arn
    (hub,) = lavish.of("securityhub/account:Account").values()
    assert hub["enableDefaultStandards"] is False
    given = lavish.options["detection-standard"].customTimeouts
    assert (given.create, given.delete) == ("20m", "20m"), "three minutes, as the provider waits, are not enough"


def test_database_and_sessions_are_backed_up_daily_and_monthly_with_our_key(prod):
    (plan,) = prod.of("backup/plan:Plan").values()
    kept = {r["ruleName"]: (r["schedule"], r["lifecycle"]["deleteAfter"]) for r in plan["rules"]}
    assert kept == {"daily": ("cron(0 5 ? * * *)", 35), "monthly": ("cron(0 6 1 * ? *)", 365)}
    (selection,) = prod.of("backup/selection:Selection").values()
    assert [arn.rsplit("-", 1)[-1] for arn in selection["resources"]] == ["sessions", "database"]
    (vault,) = prod.of("backup/vault:Vault").values()
    assert vault["kmsKeyArn"].endswith("keys-data")
    assert vault["forceDestroy"] is False


@pytest.mark.parametrize(("stack", "grace"), [("prod", None), ("lavish", 3)])
def test_a_locked_vault_keeps_what_the_plan_writes_and_only_compliance_is_for_ever(request, stack, grace):
    (made,) = request.getfixturevalue(stack).of("backup/vaultLockConfiguration:VaultLockConfiguration").values()
    assert (made["minRetentionDays"], made["maxRetentionDays"], made.get("changeableForDays")) == (35, 365, grace)


def test_github_gets_in_by_repository_and_purpose_without_a_key(lavish):
    subjects = {
        name: json.loads(lavish.of("iam/role:Role")[name]["assumeRolePolicy"])["Statement"][0]["Condition"]
        for name in ("github-preview", "github-drift", "github-deploy")
    }
    issuer = "token.actions.githubusercontent.com"
    for name, subject in (
        ("preview", "environment:prod-preview"),
        ("drift", "ref:refs/heads/main"),
        ("deploy", "environment:prod"),
    ):
        exact = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": f"repo:acme/fabric:{subject}"}
        assert subjects[f"github-{name}"] == {"StringEquals": exact}
    assert set(lavish.exports["github_roles"]) == {"preview", "drift", "deploy"}, "what the repository must be told"
    (provider,) = lavish.of("iam/openIdConnectProvider:OpenIdConnectProvider").values()
    assert (provider["url"], provider["clientIdLists"]) == (f"https://{issuer}", ["sts.amazonaws.com"])


@pytest.mark.parametrize(("environment", "subject"), [("dev", "pull_request"), ("prod", "environment:prod-preview")])
def test_a_pull_request_previews_dev_at_once_and_prod_after_a_review(stand_up_stack, environment, subject):
    """The setting ``environment`` decides, not the name of the stack."""
    estate = stand_up_stack(environment, {"guardrails.githubOidc": {"repository": "acme/fabric"}})
    trust = json.loads(estate.of("iam/role:Role")["github-preview"]["assumeRolePolicy"])["Statement"][0]
    (trusted,) = {value for key, value in trust["Condition"]["StringEquals"].items() if key.endswith(":sub")}
    assert trusted == f"repo:acme/fabric:{subject}"


def test_a_pull_request_sees_how_things_are_set_up_and_nothing_that_they_hold(lavish):
    """tests/engine/test_github_roles.py uses the role; here are the actions that the emulator does not authorise."""
    attached = lavish.of("iam/rolePolicyAttachment:RolePolicyAttachment")["github-preview-readonlyaccess"]
    assert attached["policyArn"] == "arn:aws:iam::aws:policy/ReadOnlyAccess"
    granted = statements(lavish.of("iam/rolePolicy:RolePolicy")["github-preview-policy"]["policy"])
    refused = [
        (a, r) for s in granted.values() if s["Effect"] == "Deny" for a in listed(s, "Action") for r in listed(s)
    ]
    function = "arn:aws:lambda:us-west-2:123456789012:function:infrafabric-dev-coordinator"
    for action, resource in (
        ("apigateway:GET", "arn:aws:apigateway:us-west-2::/apikeys"),
        ("lambda:GetDurableExecutionHistory", function),
        ("logs:GetLogEvents", "arn:aws:logs:us-west-2:123456789012:log-group:/aws/lambda/infrafabric-dev-api"),
        ("rds:DownloadDBLogFilePortion", "arn:aws:rds:us-west-2:123456789012:db:infrafabric-dev-database"),
        ("s3:GetObjectVersion", "arn:aws:s3:::infrafabric-dev-results/sessions/report.json"),
    ):
        assert any(a == action and fnmatch.fnmatchcase(resource, pattern) for a, pattern in refused), action


def listed(statement, key="Resource"):
    value = statement.get(key, [])
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("stack", ["lavish", "taken_over"])
def test_the_policies_of_githubs_roles_stay_below_iams_limits(request, stack):
    """10,240 characters for the inline policies of a role, 6,144 for a managed policy; blanks do not count."""
    estate = request.getfixturevalue(stack)
    inline = {
        name: len("".join(policy["policy"].split()))
        for name, policy in estate.of("iam/rolePolicy:RolePolicy").items()
        if name.startswith("github-")
    }
    assert len(inline) == 3
    assert max(inline.values()) < 10_240 * 0.9, inline
    boundary_policy = estate.of("iam/policy:Policy")["boundary-policy"]["policy"]
    assert len("".join(boundary_policy.split())) < 6_144 * 0.9


def test_a_state_bucket_of_another_name_is_the_one_that_the_roles_read(stand_up_stack):
    github = {"repository": "acme/fabric", "stateBucket": "acme-pulumi"}
    estate = stand_up_stack("dev", {"guardrails.githubOidc": github})
    granted = statements(estate.of("iam/rolePolicy:RolePolicy")["github-preview-policy"]["policy"])
    assert "arn:aws:s3:::acme-pulumi/.pulumi/meta.yaml" in granted["NoOtherObjects"]["NotResource"]
    assert granted["NoOtherLists"]["NotResource"] == ["arn:aws:s3:::acme-pulumi"]
    denied_to_functions = statements(estate.of("iam/policy:Policy")["boundary-policy"]["policy"])["NoPulumiState"]
    assert "arn:aws:s3:::acme-pulumi/*" in denied_to_functions["Resource"]


def test_every_environment_of_a_stack_has_a_key_for_its_secrets():
    assert get_args(Settings.model_fields["environment"].annotation) == bootstrap.ENVIRONMENTS


def test_every_role_within_the_boundary_is_tagged_with_its_stack(lavish, taken_over):
    for estate, stack in ((lavish, "prod"), (taken_over, "prod-secondary")):
        for name, role in estate.of("iam/role:Role").items():
            expected = None if name.startswith("github-") else stack
            assert role["tags"].get("Stack") == expected, name


def test_a_deployment_makes_only_roles_within_the_boundary_and_never_changes_its_own(lavish):
    granted = statements(lavish.of("iam/rolePolicy:RolePolicy")["github-deploy-policy"]["policy"])
    bounded = {
        action
        for statement in granted.values()
        if "iam:PermissionsBoundary" in statement.get("Condition", {}).get("StringEquals", {})
        for action in listed(statement, "Action")
    }
    assert {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"} <= bounded
    unbound = {
        a for s in granted.values() if "Condition" not in s and s["Effect"] == "Allow" for a in listed(s, "Action")
    }
    assert not unbound & {*bounded, "iam:CreatePolicyVersion", "iam:UpdateAssumeRolePolicy"}
    itself = granted["NotItself"]
    assert itself["Resource"] == "arn:aws:iam::123456789012:role/infrafabric-*-github-*"
    own_roles = granted["KeepRoles"]["Resource"]
    others = "arn:aws:iam::123456789012:role/infrafabric-prod-secondary-github-deploy"
    assert fnmatch.fnmatchcase(others, own_roles), "a longer stack name begins alike"
    assert fnmatch.fnmatchcase(others, itself["Resource"])
    own = [s["Action"] for s in granted.values() if s["Effect"] == "Allow" and s["Resource"] == own_roles]
    changing = {action for one in own for action in ([one] if isinstance(one, str) else one)}
    reading = {a for a in changing if a.startswith(("iam:Get", "iam:List"))}
    assert changing - reading - {"iam:CreateRole"} <= set(itself["Action"])


def test_a_provider_that_the_account_has_is_used_and_not_made_again(frugal):
    assert frugal.of("iam/openIdConnectProvider:OpenIdConnectProvider") == {}
    trusted = json.loads(frugal.of("iam/role:Role")["github-deploy"]["assumeRolePolicy"])["Statement"][0]["Principal"]
    assert trusted == {"Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}


def test_the_lavish_estate_has_the_properties_of_every_estate(lavish):
    from tests.infra import test_estate as every

    every.test_everything_that_can_carries_all_tags(lavish)
    every.test_everything_comes_from_the_stacks_own_provider(lavish)
    every.test_everything_belongs_to_a_component_that_gives_it_its_name(lavish)
    every.test_no_action_is_a_wildcard_and_no_resource_without_a_reason(lavish)
    every.test_nobody_outside_is_let_in_by_a_resources_own_policy(lavish)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"observability": None}, "guardrails.budgets = True: needs an observability section"),
        ({"guardrails.securityHub": True}, "guardrails.securityHub = True: needs config true as well"),
        (
            {"guardrails.githubOidc": {"repository": "acme/fabric"}, "guardrails.boundary": False},
            "guardrails.boundary = False: must be true with githubOidc",
        ),
        (
            {"guardrails.backup": {"dailyDays": 40, "monthlyDays": 30}},
            "guardrails.backup.monthlyDays = 30: must be at least dailyDays (40)",
        ),
        ({"guardrails.githubOidc": {"repository": "fabric"}}, "guardrails.githubOidc.repository = 'fabric'"),
        ({"observability.emails": ["ops@example.org"] * 2}, "ops@example.org: must be listed once"),
        ({"observability.thresholds.stuckMinutes": 5}, "observability.thresholds.stuckMinutes = 5"),
        ({"observability.pagerDuty": True}, "infrafabric:pagerDutyEndpoint is not set"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_anything_is_declared(
    stand_up_stack, nothing, changes, said
):
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up_stack("dev", changes, into=nothing)
    assert said in str(refusal.value)
    assert nothing.inputs == {}


def test_the_deploy_role_may_hand_on_every_role_that_a_stack_has(lavish, prod, standby):
    """A new component with a role for another service fails here."""
    trusted = {
        statement["Principal"]["Service"]
        for estate in (lavish, prod, standby)
        for role in estate.of("iam/role:Role").values()
        for statement in json.loads(role["assumeRolePolicy"])["Statement"]
        if "Service" in statement["Principal"]
    }
    granted = statements(lavish.of("iam/rolePolicy:RolePolicy")["github-deploy-policy"]["policy"])
    assert trusted <= set(granted["PassRoles"]["Condition"]["StringEquals"]["iam:PassedToService"])


def test_the_deploy_role_may_hand_on_the_role_that_auto_scaling_is_given(lavish, taken_over):
    """A group that names a service-linked role needs iam:PassRole; a standby's groups name their primary's role."""
    for estate in (lavish, taken_over):
        granted = statements(estate.of("iam/rolePolicy:RolePolicy")["github-deploy-policy"]["policy"])
        passed = granted["PassServiceLinkedRole"]
        named = {group["serviceLinkedRoleArn"] for group in estate.of("autoscaling/group:Group").values()}
        assert named == {passed["Resource"]}
        assert passed["Resource"].endswith("/AWSServiceRoleForAutoScaling_infrafabric-prod-app")
        assert passed["Condition"]["StringEquals"]["iam:PassedToService"] == "autoscaling.amazonaws.com"


def test_a_preview_opens_the_state_in_whatever_region_it_is_and_is_allowed_nothing_else(lavish, taken_over):
    """A standby's state is in its primary's recovery region, next to the primary's state."""
    for estate in (lavish, taken_over):
        granted = statements(estate.of("iam/rolePolicy:RolePolicy")["github-preview-policy"]["policy"])
        allowed = {sid: s for sid, s in granted.items() if s["Effect"] == "Allow"}
        assert set(allowed) == {"DecryptSecrets", "DecryptState"}
        for statement in allowed.values():
            assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", "arn:aws:kms:*:123456789012:key/*")


@pytest.mark.parametrize("stack", ["lavish", "taken_over"])
def test_the_nightly_comparison_can_decrypt_the_secrets_and_variables_that_it_compares(request, stack):
    """Otherwise the secret's version fails the refresh, and every function seems to have lost its variables."""
    estate = request.getfixturevalue(stack)
    granted = statements(estate.of("iam/rolePolicy:RolePolicy")["github-drift-policy"]["policy"])
    keys = {function["kmsKeyArn"] for function in estate.of("lambda/function:Function").values()}
    keys |= {secret["kmsKeyId"] for secret in estate.of("secretsmanager/secret:Secret").values()}
    assert keys == {granted["DecryptValues"]["Resource"]}
    via = granted["DecryptValues"]["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == [f"{service}.{estate.region}.amazonaws.com" for service in ("lambda", "secretsmanager")]
