from __future__ import annotations

import json

import pytest

from infra.front.frontend import NO_ALARM_TOPIC
from tests.infra.conftest import ZONE

DOMAIN = "infrafabric.example"


def records(estate):
    return {(i["name"], i["type"]): i for i in estate.of("route53/record:Record").values()}


def origins(distribution):
    return {o["originId"]: o["domainName"] for o in distribution["origins"]}


def limits_of(acl):
    return {r["name"]: r["statement"]["rateBasedStatement"] for r in acl["rules"] if r["name"].startswith("rate")}


@pytest.fixture(scope="module")
def distribution(prod):
    (made,) = prod.of("cloudfront/distribution:Distribution").values()
    return made


def test_every_name_is_proved_by_its_own_record_wherever_acm_lists_it(prod):
    found = records(prod)
    for name in ("api", "api-us-east-1", "app", "app-us-east-1"):
        asked = [(n, i) for (n, kind), i in found.items() if kind == "CNAME" and n.endswith(f".{name}.{DOMAIN}.")]
        assert len(asked) == 1, name
    for certificate in prod.of("acm/certificate:Certificate").values():
        assert certificate["domainName"] in certificate["subjectAlternativeNames"]


def test_cloudfronts_certificate_web_acl_and_log_delivery_are_in_its_region(frugal):
    assert frugal.of("acm/certificate:Certificate")["face-edge-tls-certificate"]["region"] == "us-east-1"
    assert frugal.of("wafv2/webAcl:WebAcl")["face-edge-waf-acl"]["region"] == "us-east-1"
    for kind in ("logDelivery:LogDelivery", "logDeliverySource:LogDeliverySource"):
        assert {i["region"] for i in frugal.of(f"cloudwatch/{kind}").values()} == {"us-east-1"}
    group = frugal.of("cloudwatch/logGroup:LogGroup")["face-edge-waf-logs"]
    assert "kmsKeyId" not in group, "a key in another region cannot encrypt it"
    assert "region" not in frugal.of("wafv2/webAcl:WebAcl")["face-waf-acl"]


def test_the_shared_names_fail_over_on_the_check_of_the_regional_ones(prod):
    found = records(prod)
    checked_by = {"api": "face-api-name-both-checks-id", "app": "face-app-name-check-id"}
    for label in ("api", "app"):
        shared, regional = found[f"{label}.{DOMAIN}", "A"], found[f"{label}-us-east-1.{DOMAIN}", "A"]
        assert shared["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]
        assert (shared["setIdentifier"], shared["healthCheckId"]) == ("primary", checked_by[label])
        assert "failoverRoutingPolicies" not in regional
        check = prod.of("route53/healthCheck:HealthCheck")[f"face-{label}-name-check"]
        assert (check["type"], check["fqdn"]) == ("HTTPS", f"{label}-us-east-1.{DOMAIN}")
        alarm = prod.of("cloudwatch/metricAlarm:MetricAlarm")[f"face-{label}-name-unhealthy"]
        assert (alarm["region"], alarm["metricName"]) == ("us-east-1", "HealthCheckStatus")


def test_the_apis_shared_name_fails_over_if_either_its_endpoint_or_the_alarm_on_its_errors_says_so(prod):
    checks = prod.of("route53/healthCheck:HealthCheck")
    follower, both = checks["face-api-name-alarm-check"], checks["face-api-name-both-checks"]
    assert (follower["type"], follower["cloudwatchAlarmName"]) == ("CLOUDWATCH_METRIC", "infrafabric-prod-health-5xx")
    assert (follower["cloudwatchAlarmRegion"], follower["insufficientDataHealthStatus"]) == ("us-east-1", "Healthy")
    assert both["type"] == "CALCULATED"
    assert both["childHealthchecks"] == ["face-api-name-check-id", "face-api-name-alarm-check-id"]
    assert both["childHealthThreshold"] == 2


def test_route_53_can_follow_the_alarm_on_errors_of_the_health_check(estate):
    """One metric, a standard statistic, whole minutes, and no M out of N (Route 53 API Reference, AlarmIdentifier)."""
    alarm = estate.of("cloudwatch/metricAlarm:MetricAlarm")["face-health-failing"]
    assert "metricQueries" not in alarm
    assert (alarm["namespace"], alarm["metricName"], alarm["statistic"]) == ("AWS/ApiGateway", "5XXError", "Average")
    assert alarm["dimensions"].keys() == {"ApiName", "Method", "Resource", "Stage"}
    assert (alarm["dimensions"]["Resource"], alarm["dimensions"]["Method"]) == ("/health", "GET")
    assert alarm["period"] == 60
    assert "datapointsToAlarm" not in alarm
    assert len(alarm["alarmActions"]) == len(alarm["okActions"]) == 1


def test_without_failover_a_shared_name_is_a_plain_alias(frugal):
    shared = records(frugal)[f"api.{DOMAIN}", "A"]
    assert not {"setIdentifier", "failoverRoutingPolicies", "healthCheckId"} & set(shared)


def test_an_old_name_answers_until_its_successor_can(prod):
    """A name in another domain waits for its certificate; a name that starts to fail over changes in place."""
    records = prod.of("route53/record:Record")
    assert records
    assert not any(prod.options[name].deleteBeforeReplace for name in records)
    zone = prod.options["face-dns-zone"]
    assert (zone.deleteBeforeReplaceDefined, zone.deleteBeforeReplace) == (True, False), "Pulumi's default is the other"


def test_an_old_name_is_checked_as_itself_until_it_goes(prod):
    """An in-place change of the check would fail the old name over to a name that waits for its certificate."""
    checks = prod.of("route53/healthCheck:HealthCheck")
    of_names = {name for name, check in checks.items() if check["type"] == "HTTPS"}
    assert {tuple(prod.options[name].replaceOnChanges) for name in of_names} == {("fqdn",)}


def test_reads_go_to_the_second_region_when_the_first_is_in_trouble(distribution):
    found = origins(distribution)
    assert found["app-primary"] == f"app-us-east-1.{DOMAIN}"
    assert found["app-secondary"] == f"app-us-west-2.{DOMAIN}"
    groups = {g["originId"]: g for g in distribution["originGroups"]}
    assert groups["app-regions"]["failoverCriteria"] == {"statusCodes": [500, 502, 503, 504]}
    assert distribution["defaultCacheBehavior"]["targetOriginId"] == "app-regions"


def test_no_group_of_origins_takes_writes_which_cloudfront_would_refuse(distribution):
    groups = {g["originId"] for g in distribution["originGroups"]}
    for behavior in [distribution["defaultCacheBehavior"], *distribution["orderedCacheBehaviors"]]:
        if behavior["targetOriginId"] in groups:
            assert set(behavior["allowedMethods"]) == {"GET", "HEAD", "OPTIONS"}


def test_the_edge_speaks_modern_tls_and_http_3_and_so_do_its_origins(distribution):
    assert distribution["viewerCertificate"]["minimumProtocolVersion"] == "TLSv1.2_2021"
    assert (distribution["httpVersion"], distribution["isIpv6Enabled"]) == ("http2and3", True)
    for origin in (o for o in distribution["origins"] if "customOriginConfig" in o):
        assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"
        assert origin["customOriginConfig"]["originSslProtocols"] == ["TLSv1.2"]


def test_our_distribution_alone_reads_the_public_assets_and_nothing_else_of_the_bucket(prod):
    written = json.loads(prod.of("s3/bucketPolicy:BucketPolicy")["storage-assets-policy"]["policy"])["Statement"]
    assert written[0]["Effect"] == "Deny"
    (let_in,) = written[1:]
    assert let_in["Resource"] == "arn:aws:s3:::infrafabric-prod-assets-123456789012-us-east-1/assets/*"
    ours = "arn:aws:cloudfront::123456789012:distribution/face-edge-distribution-id"
    assert let_in["Condition"] == {"StringEquals": {"aws:SourceArn": ours}}


def test_both_web_acls_limit_addresses_and_carry_awss_rules(prod):
    for acl in prod.of("wafv2/webAcl:WebAcl").values():
        named = [rule["name"] for rule in acl["rules"]]
        assert [name for name in named if not name.startswith("rate")] == [
            "AWSManagedRulesAmazonIpReputationList",
            "AWSManagedRulesKnownBadInputsRuleSet",
            "AWSManagedRulesCommonRuleSet",
        ]
        assert named[0] == "rate"
        assert [rule["priority"] for rule in acl["rules"]] == list(range(len(named)))
        assert {limit["limit"] for limit in limits_of(acl).values()} == {2000}
    for logging in prod.of("wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration").values():
        (group,) = logging["logDestinationConfigs"]
        assert ":log-group:aws-waf-logs-infrafabric-prod-" in group
        hidden = {field["singleHeader"]["name"] for field in logging["redactedFields"]}
        assert hidden == {"authorization", "cookie", "x-api-key"}


def test_rules_on_bodies_count_and_all_other_managed_rules_block(prod):
    """Tasks are prose that may quote an exploit such as ${jndi:…}, markup or a path, and may be long."""
    for acl in prod.of("wafv2/webAcl:WebAcl").values():
        groups = {r["name"]: r for r in acl["rules"] if not r["name"].startswith("rate")}
        assert all(group["overrideAction"] == {"none": {}} for group in groups.values()), "else a whole group counts"
        overrides = {
            name: {o["name"]: o["actionToUse"] for o in managed.get("ruleActionOverrides", [])}
            for name, group in groups.items()
            for managed in [group["statement"]["managedRuleGroupStatement"]]
        }
        count = {"count": {}}
        assert overrides == {
            "AWSManagedRulesAmazonIpReputationList": {},
            "AWSManagedRulesKnownBadInputsRuleSet": {
                "JavaDeserializationRCE_BODY": count,
                "Log4JRCE_BODY": count,
                "ReactJSRCE_BODY": count,
            },
            "AWSManagedRulesCommonRuleSet": {
                "CrossSiteScripting_BODY": count,
                "EC2MetaDataSSRF_BODY": count,
                "GenericLFI_BODY": count,
                "GenericRFI_BODY": count,
                "SizeRestrictions_BODY": count,
            },
        }


@pytest.mark.parametrize("stack", ["prod", "standby"])
def test_behind_cloudfront_a_visitor_is_who_it_says_and_whoever_comes_past_it_is_limited_too(request, stack):
    """WAF counts requests by forwarded address or by source address.

    A limit by header ignores requests without the header, which includes every direct client of the API. A limit by
    source address would count all visitors behind CloudFront as one, in a standby on the day of a failover.
    """
    acl = request.getfixturevalue(stack).of("wafv2/webAcl:WebAcl")["face-waf-acl"]
    limits = limits_of(acl)
    assert limits["rate"]["forwardedIpConfig"]["headerName"] == "X-Forwarded-For"
    direct = limits["rate-direct"]
    assert direct["aggregateKeyType"] == "IP"
    said = direct["scopeDownStatement"]["notStatement"]["statement"]["sizeConstraintStatement"]
    assert said["fieldToMatch"] == {"singleHeader": {"name": "x-forwarded-for"}}
    assert (said["comparisonOperator"], said["size"]) == ("GT", 0)


def test_what_stands_before_everything_sees_addresses_itself(prod, european):
    """A client can forge the header, so the header counts only behind CloudFront."""
    for estate, name in ((prod, "face-edge-waf-acl"), (european, "face-waf-acl")):
        limits = limits_of(estate.of("wafv2/webAcl:WebAcl")[name])
        assert {n: limit["aggregateKeyType"] for n, limit in limits.items()} == {"rate": "IP"}


def test_the_api_answers_under_its_own_names_without_the_stage_in_the_path(prod):
    domains = prod.of("apigateway/domainName:DomainName").values()
    assert {d["domainName"] for d in domains} == {f"api.{DOMAIN}", f"api-us-east-1.{DOMAIN}"}
    for mapping in prod.of("apigateway/basePathMapping:BasePathMapping").values():
        assert (mapping["restApi"], mapping["stageName"]) == ("api-gateway-rest-id", "v1")
        assert "basePath" not in mapping


def test_amazon_alone_may_issue_certificates(prod):
    assert records(prod)[DOMAIN, "CAA"]["records"] == ['0 issue "amazon.com"', '0 issuewild "amazon.com"']


def test_a_zone_is_signed_with_a_key_where_route_53_looks_for_it(lavish):
    key = lavish.of("kms/key:Key")["face-dns-signing"]
    assert (key["customerMasterKeySpec"], key["region"]) == ("ECC_NIST_P256", "us-east-1")
    (signer,) = lavish.of("route53/keySigningKey:KeySigningKey").values()
    assert signer["name"] == "infrafabric_prod_ksk"
    assert len(lavish.of("route53/hostedZoneDnsSec:HostedZoneDnsSec")) == 1


def test_a_zone_that_is_there_is_used_and_not_made(frugal):
    assert not frugal.of("route53/zone:Zone")
    assert {i["zoneId"] for i in frugal.of("route53/record:Record").values()} == {ZONE}
    assert frugal.exports["zone"] == {"id": ZONE, "name_servers": None}


def test_dev_shows_no_face(dev):
    for type_, _, _ in dev.resources:
        assert type_.split(":")[1].split("/")[0] not in ("acm", "cloudfront", "lb", "route53", "wafv2", "autoscaling")


def test_a_standby_has_its_part_of_the_names_and_proves_only_its_own(taken_over):
    found = records(taken_over)
    assert found[f"api.{DOMAIN}", "A"]["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    proofs = {name.split(".", 1)[1] for name, kind in found if kind == "CNAME"}
    assert proofs == {f"api-us-west-2.{DOMAIN}.", f"app-us-west-2.{DOMAIN}."}
    assert (DOMAIN, "CAA") not in found
    roles = {g["serviceLinkedRoleArn"].rpartition("_")[2] for g in taken_over.of("autoscaling/group:Group").values()}
    assert roles == {"infrafabric-prod-app"}, "the key's policy is the primary's, and names its role"
    assert not taken_over.of("iam/serviceLinkedRole:ServiceLinkedRole")


def test_whoever_is_on_call_hears_of_a_name_that_cannot_be_reached(prod, standby):
    """An alarm notifies only topics of its region; Route 53's alarms and the primary's topic are in us-east-1."""
    topic = "arn:aws:sns:us-east-1:123456789012:infrafabric-prod-alerts"
    names = {n: a for n, a in prod.of("cloudwatch/metricAlarm:MetricAlarm").items() if n.endswith("-unhealthy")}
    assert len(names) == 2
    assert all("alerts-topic-policy" in prod.before(name) for name in names)
    assert all((a["alarmActions"], a["okActions"]) == ([topic], [topic]) for a in names.values())
    theirs = [a for n, a in standby.of("cloudwatch/metricAlarm:MetricAlarm").items() if n.endswith("-unhealthy")]
    assert len(theirs) == 1
    assert all((a["alarmActions"], a["okActions"]) == ([topic], [topic]) for a in theirs)


@pytest.mark.parametrize("heard", [True, False])
def test_a_standby_whose_names_nobody_hears_of_says_so(stand_up_stack, prod, heard, caplog):
    handed = {k: v for k, v in prod.exports["handover"].items() if heard or k != "alerts_topic_arn"}
    smaller = {"database": None, "guardrails": None}
    given = {**prod.exports, "handover": handed}
    stand_up_stack("prod-secondary", smaller, stacks={"organization/infrafabric/prod": given})
    assert (NO_ALARM_TOPIC in caplog.messages) is not heard


def test_a_standby_writes_its_names_into_the_zone_that_its_primary_hands_over(prod, standby):
    assert standby.of("route53/record:Record")
    assert {r["zoneId"] for r in standby.of("route53/record:Record").values()} == {prod.exports["handover"]["zone_id"]}
    assert not standby.of("route53/zone:Zone")


def test_an_eu_stack_leaves_no_visitors_address_in_another_region(european):
    assert european.of("route53/zone:Zone")
    assert not european.of("route53/queryLog:QueryLog")
    elsewhere = {n for _, n, i in european.resources if i.get("region") not in (None, "eu-central-1")}
    # Route 53's metrics exist only in us-east-1: health of our own names, without any data of clients.
    assert elsewhere == {"face-api-name-unhealthy", "face-app-name-unhealthy"}
