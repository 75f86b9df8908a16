from __future__ import annotations

import json

import pulumi
import pytest

from infra.settings import Settings, stackfile


def said(stand_up_stack, nothing, changes, *, stack="dev", **more):
    """Return the error text for ``changes``, after checking that no resource was declared."""
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up_stack(stack, changes, into=nothing, **{"stacks": {}, **more})
    assert nothing.inputs == {}, "it declared something before it refused"
    return str(refusal.value).splitlines()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("fleet.size", 0, "fleet.size = 0: Input should be greater than or equal to 1"),
        ("fleet.size", "ten", "fleet.size = 'ten': Input should be a valid integer"),
        ("fleet.maxConcurrency", 1, "fleet.maxConcurrency = 1: Input should be greater than or equal to 2"),
        ("fleet.maxReceives", 2, "fleet.maxReceives = 2: Input should be greater than or equal to 5"),
        ("fleet.heartbeatTimeoutS", 30, "fleet.heartbeatTimeoutS = 30: must be twice heartbeatS (20) or more"),
        ("fleet.start", "warm", "fleet.start = 'warm': Input should be 'cold', 'snap-start' or 'provisioned'"),
        ("database.backupDays", 90, "database.backupDays = 90: Input should be less than or equal to 35"),
        ("database.maxStorageGb", 21, "database.maxStorageGb = 21: must exceed storageGb (20) by 10 %"),
        ("database.multiAz", "yes", "database.multiAz = 'yes': Input should be a valid boolean"),
        (
            "keys.generations",
            {"h01": 0},
            "keys.generations.h01 = 0: Input should be greater than or equal to 1",
        ),
        (
            "keys.generations",
            {"h07": 2},
            "keys.generations.h07 = 2: no such principal; allowed here: coordinator, h01 to h01 (fleet.size); remove "
            "the entry",
        ),
        (
            "keys.retired",
            {"h01": 1},
            "keys.retired.h01 = 1: must be below the generation that signs (1); raise generations.h01 first, or in "
            "the same update to revoke a key at once",
        ),
        ("network.endpointZones", 3, "network.endpointZones = 3: must be at most zones (2)"),
        ("network.zoneLetters", "aa", "network.zoneLetters = 'aa': must be 2 different letters or more (zones)"),
        ("network.nat", "many", "network.nat = 'many': Input should be 'none', 'single' or 'per-az'"),
        (
            "model.provider",
            "offline",
            "model.baseUrl is missing: provider offline needs the address of a local model server; set baseUrl",
        ),
        (
            "api.clients",
            {"Partner": {}},
            "api.clients.Partner: is not a client's name: a letter, then up to 30 letters, digits and hyphens, in "
            "lower case; choose another",
        ),
        ("api.clients", {}, "api.clients: names 0 clients, and 1 to 16 are allowed"),
        ("api.clients.partner", {"keys": 3}, "api.clients.partner.keys = 3: Input should be 1 or 2"),
        (
            "api.clients.partner",
            {"throttleRate": 51},
            "api.clients.partner.throttleRate = 51: must be at most api.throttleRate (50), the limit of all callers",
        ),
        (
            "api.clients.partner",
            {"quota": 1},
            "api.clients.partner.quota = 1: unknown key; allowed here: dailyCapUsd, keys, maxBudgetUsd, monthlyQuota, "
            "throttleBurst, throttleRate",
        ),
        (
            "api.clients.partner",
            {"dailyCapUsd": 5},
            "api.clients.partner.dailyCapUsd = 5: must be at least maxBudgetUsd (10), the budget of one session",
        ),
        ("api.iam.maxBudgetUsd", 0, "api.iam.maxBudgetUsd = 0: Input should be greater than 0"),
        (
            "api.iam",
            {"maxBudgetUsd": 30},
            "api.iam.dailyCapUsd = 25: must be at least maxBudgetUsd (30), the budget of one session",
        ),
        ("budget.alertThresholdUsd", 101, "budget.alertThresholdUsd = 101: must be at most monthlyUsd (100)"),
        (
            "network.cidr",
            "10.0.0.0/24",
            "network.cidr = '10.0.0.0/24': a /24 is too small for its subnets: /16 to /23 is allowed",
        ),
        (
            "model.provider",
            "bedrock",
            "model.agentId = 'claude-haiku-5-5': provider bedrock needs a Bedrock model or inference profile id, "
            "such as eu.anthropic.<model>",
        ),
    ],
)
def test_a_bad_value_is_one_line_with_key_value_and_what_is_allowed(stand_up_stack, nothing, key, value, problem):
    lines = said(stand_up_stack, nothing, {key: value})
    assert lines == [
        "Pulumi.dev.yaml does not describe a stack:",
        f"  infrafabric:settings.{problem}",
        "Change one with: pulumi config set --path 'infrafabric:settings.<key>' <value>",
    ]


STANDBY = {
    "environment": "prod",
    "database": None,
    "role": "standby",
    "primary": {"stack": "organization/infrafabric/prod", "region": "us-west-2"},
}
EU = {"residency": "eu", "region": "eu-central-1", "database": None}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"fleet.start": "snap-start", "fleet.ephemeralStorageMb": 1024},
            "fleet.ephemeralStorageMb = 1024: must be 512 with start 'snap-start'",
        ),
        (
            {"fleet.start": "provisioned", "fleet.provisioned": 11},
            "fleet.provisioned = 11: must be at most maxConcurrency (10)",
        ),
        (
            {"fleet.size": 10, "fleet.start": "provisioned", "fleet.provisioned": 10, "account.lambdaConcurrency": 199},
            "fleet.provisioned = 10: 10 agents would need 100 of account.lambdaConcurrency = 199, and Lambda keeps 100 "
            "for other functions; lower provisioned or size, or have the quota raised",
        ),
        (
            {"fleet.size": 10, "account.lambdaConcurrency": 104},
            "fleet.maxConcurrency = 10: 10 agents and the recorder would use up to 105 of account.lambdaConcurrency = "
            "104, and Lambda would throttle the others; lower maxConcurrency or size, or have the quota raised",
        ),
        (
            {"fleet.size": 10, "fleet.maxConcurrency": 90, "account.lambdaConcurrency": 1000},
            "fleet.maxConcurrency = 90: 10 agents would use up to 900 of account.lambdaConcurrency = 1000 (107 of them "
            "kept by account.reservedConcurrency), and Lambda would throttle the others; lower maxConcurrency or size, "
            "or have the quota raised",
        ),
        (
            {"fleet.start": "provisioned", "fleet.provisioned": 4, "account.lambdaConcurrency": 210},
            "fleet.provisioned = 4: 1 agents would need 4 of account.lambdaConcurrency = 210 (107 of them kept by "
            "account.reservedConcurrency), and Lambda keeps 100 for other functions; lower provisioned or size, or "
            "have the quota raised",
        ),
        (
            {"account.reservedConcurrency.recorder": 4},
            "account.reservedConcurrency.recorder = 4: must be at least 5, what its queue may invoke at once, because "
            "SQS counts a throttled delivery as a failed one; or 0 for no reservation",
        ),
        (
            {"model.provider": "anthropic", "model.baseUrl": "http://gateway.example"},
            "model.baseUrl = 'http://gateway.example': over http everybody on the way can read the API key; use "
            "https://",
        ),
        (
            {**STANDBY, "primary": None},
            "primary: is missing; role is 'standby', so set primary.stack and primary.region",
        ),
        (
            {**STANDBY, "role": "primary"},
            "role = 'primary': must be 'standby' when primary is set, or leave primary out",
        ),
        (
            {**STANDBY, "environment": "dev"},
            "environment = 'dev': must be 'prod' in a standby (primary is set)",
        ),
        (
            {**STANDBY, "primary.region": "us-east-1"},
            "primary.region = 'us-east-1': must differ from the standby's region",
        ),
        (
            {**STANDBY, "recovery": {"region": "eu-west-1"}},
            "recovery: must not be set in a standby, whose data are copies; leave recovery out, or leave primary out",
        ),
        (
            {**STANDBY, "guardrails.cloudTrail": True},
            "guardrails.cloudTrail = True: must be false in a standby, because the primary's trail covers all "
            "regions, and the policy of the shared key admits no second trail; set cloudTrail in the primary only",
        ),
        (
            {"recovery": {"region": "us-east-1"}},
            "recovery.region = 'us-east-1': must differ from region; choose another region, or leave recovery out",
        ),
        (
            {"recovery": {"region": "us-west-2"}},
            "database.password = 'managed': must be 'secret' with a cross-region replica, because RDS refuses to "
            "replicate a database with a managed password; also run pulumi config set --secret databasePassword",
        ),
        (
            {**EU, "region": "us-east-1"},
            "region = 'us-east-1': must be in the EU when residency is 'eu': "
            "eu-central-1, eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-3",
        ),
        (
            {**EU, "recovery": {"region": "eu-west-2"}},
            "recovery.region = 'eu-west-2': must be in the EU when residency is 'eu': "
            "eu-central-1, eu-north-1, eu-south-1, eu-south-2, eu-west-1, eu-west-3",
        ),
        (
            {
                **EU,
                "dns": {"domain": "fabric.example"},
                "app": {"instances": 2},
                "edge": {},
            },
            "edge: must not be set when residency is 'eu', because CloudFront answers worldwide, and its web ACL "
            "logs to us-east-1; leave edge out",
        ),
        (
            EU,
            "model.provider = 'anthropic': must be 'bedrock' when residency is 'eu', because only Bedrock keeps "
            "requests in a region; use model ids such as eu.anthropic.<model>",
        ),
        (
            {
                **EU,
                "model.provider": "bedrock",
                "model.agentId": "us.anthropic.a",
                "model.coordinatorId": "eu.anthropic.b",
            },
            "model.agentId = 'us.anthropic.a': must be a profile such as eu.anthropic.<model> when residency is 'eu'",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_the_way_out(stand_up_stack, nothing, changes, problem):
    _, line, _ = said(stand_up_stack, nothing, changes)
    assert line == f"  infrafabric:settings.{problem}"


def test_an_unknown_key_is_refused_at_any_level_and_the_nearest_is_named(stand_up_stack, nothing):
    _, problem, _ = said(stand_up_stack, nothing, {"fleet.handlerTimeout": 60})
    assert problem.startswith(
        "  infrafabric:settings.fleet.handlerTimeout = 60: unknown key; did you mean handlerTimeoutS? allowed here: "
    )
    assert "memoryMb" in problem


def test_all_problems_are_told_at_once(stand_up_stack, nothing):
    lines = said(stand_up_stack, nothing, {"fleet.size": 0, "region": "Virginia", "api.throttleRate": -1})
    assert [line.split(" = ")[0].strip() for line in lines[1:-1]] == [
        "infrafabric:settings.region",
        "infrafabric:settings.fleet.size",
        "infrafabric:settings.api.throttleRate",
    ]


@pytest.mark.parametrize("key", ["database.multiAz", "database.deletionProtection"])
def test_prod_must_survive_the_loss_of_a_zone_and_a_slip_of_the_hand(stand_up_stack, nothing, key):
    _, problem, _ = said(stand_up_stack, nothing, {key: False}, stack="prod")
    assert problem == f"  infrafabric:settings.{key} = False: must be true when environment is prod"


def test_a_missing_key_is_named_with_those_that_belong_there(stand_up, nothing):
    config = {"infrafabric:settings": json.dumps({"region": "us-east-1"})}
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up(Settings.load, config=config, into=nothing)
    assert "  infrafabric:settings.environment: is missing; allowed here: account, api, app, budget, " in str(
        refusal.value
    )


def test_a_stack_without_settings_is_told_which_key_is_missing(stand_up, nothing):
    with pytest.raises(pulumi.RunError, match="infrafabric:settings"):
        stand_up(Settings.load, into=nothing)


@pytest.mark.parametrize("stack", ["pulumi", "pulumi-2"])
def test_a_stack_whose_buckets_would_be_named_like_the_state_bucket_is_refused(stand_up, nothing, stack):
    with pytest.raises(pulumi.RunError, match=f"stack name = '{stack}': must not begin with 'pulumi'"):
        stand_up(Settings.load, stack=stack, config=stackfile.read("dev", folder=stackfile.REFERENCE), into=nothing)


@pytest.mark.parametrize("stack", ["Production", "prod_2", "a-stack-with-a-long-name", "a--b", "prod-"])
def test_a_stack_name_that_aws_would_refuse_in_a_bucket_or_a_database_is_refused_first(stand_up, nothing, stack):
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up(Settings.load, stack=stack, config=stackfile.read("dev", folder=stackfile.REFERENCE), into=nothing)
    assert str(refusal.value).startswith(f"stack name = {stack!r}: ")
    assert "15 characters" in str(refusal.value)


def test_a_password_that_the_settings_count_on_must_be_set(stand_up_stack, nothing):
    (line,) = said(stand_up_stack, nothing, {}, stack="prod", secrets={})
    assert line.startswith("infrafabric:databasePassword is not set, and database.password is 'secret': pulumi config")


@pytest.mark.parametrize("password", ["short", "has a space", "sl/ash-and-more", "an@address", 'quo"tation', "ümläute"])
def test_a_password_that_rds_would_refuse_is_refused_first_and_not_told(stand_up_stack, nothing, password):
    secrets = {"infrafabric:databasePassword": password, "infrafabric:anthropicApiKey": "k"}
    (line,) = said(stand_up_stack, nothing, {}, stack="prod", secrets=secrets)
    assert line.startswith("infrafabric:databasePassword: must have 8 to 128 printable ASCII characters")
    assert password not in line


def test_a_small_tree_is_enough(stand_up):
    loaded = []
    config = {"infrafabric:settings": json.dumps({"environment": "dev", "region": "eu-central-1"})}
    stand_up(lambda: loaded.append(Settings.load()), config=config)
    (settings,) = loaded
    assert settings.fleet.agents == tuple(f"h{n:02}" for n in range(1, 11))
    assert settings.database is None
    assert (settings.model.agent_id, settings.model.coordinator_id) == ("claude-haiku-5-5", "claude-sonnet-5-5")


def test_encrypted_values_of_a_stack_file_stay_out_of_reach(tmp_path):
    text = "config:\n  infrafabric:databasePassword:\n    secure: v1:abc\n  infrafabric:settings:\n    region: r\n"
    (tmp_path / "Pulumi.x.yaml").write_text(text)
    assert stackfile.read("x", {"fleet.size": 2}, tmp_path) == {
        "infrafabric:settings": '{"region": "r", "fleet": {"size": 2}}'
    }


@pytest.mark.parametrize(
    ("stack", "key", "value", "problem"),
    [
        (
            "prod",
            "dns.domain",
            f"{'a' * 42}.org",
            f"dns.domain = '{'a' * 42}.org': String should have at most 45 characters",
        ),
        ("prod", "app.blueWeight", 120, "app.blueWeight = 120: Input should be less than or equal to 100"),
        ("prod", "app.instances", 1, "app.instances = 1: must be 2 or more when environment is prod"),
        ("prod", "app.maxInstances", 1, "app.maxInstances = 1: must be at least instances (2)"),
        (
            "prod",
            "app.green",
            {"artifactKey": "app/navidocs-2.tar"},
            "app.green.sha256: is missing; artifactKey and sha256 go together, or leave both out",
        ),
        (
            "prod",
            "dns",
            None,
            "app: needs dns, because the certificate is for a domain name; set dns.domain, or leave app out",
        ),
        (
            "prod",
            "network.ipv6",
            False,
            "network.ipv6 = False: must be true with app, because instances reach AWS by IPv6 or NAT; or set "
            "network.nat to 'single' or 'per-az', or leave app out",
        ),
        ("prod", "app", None, "edge: needs app; add a section app, or leave edge out"),
        (
            "dev",
            "failover",
            True,
            "failover = True: needs dns, whose names fail over; set dns.domain, or set failover to false",
        ),
        (
            "prod",
            "recovery",
            None,
            "failover = True: needs a second region; set recovery.region (in a standby primary.stack and "
            "primary.region), or set failover to false",
        ),
        (
            "prod-secondary",
            "dns.zoneId",
            "Z0123456789ABC",
            "dns.zoneId = 'Z0123456789ABC': must not be set in a standby, which uses its primary's zone; leave "
            "dns.zoneId out",
        ),
    ],
)
def test_a_face_that_contradicts_itself_is_refused_with_the_way_out(
    stand_up_stack, nothing, stack, key, value, problem
):
    _, line, _ = said(stand_up_stack, nothing, {key: value}, stack=stack, stacks={})
    assert line == f"  infrafabric:settings.{problem}"
