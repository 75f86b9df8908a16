from __future__ import annotations

import json

import pytest
from pulumi import Output

from infra.api import definition, gateway
from infra.compute.environment_size import ALLOWED_BYTES
from infra.graph.mock_outputs import api_key_id
from infra.settings.api import MAX_CLIENTS
from tests.infra.conftest import BARE


def routes(estate):
    """Return path → verb → method, as a client sees the API."""
    resources = estate.of("apigateway/resource:Resource")
    paths = {"api-gateway-rest-root": ""}
    for name, resource in resources.items():  # a parent is declared before its children
        paths[f"{name}-id"] = f"{paths[resource['parentId']]}/{resource['pathPart']}"
    table: dict[str, dict[str, dict]] = {}
    for method in estate.of("apigateway/method:Method").values():
        table.setdefault(paths[method["resourceId"]], {})[method["httpMethod"]] = method
    return table


WANTED = {
    "/sessions": {"GET", "POST"},
    "/sessions/{id}": {"DELETE", "GET"},
    "/sessions/{id}/report": {"GET"},
}


HEALTH = "/health"


@pytest.fixture
def table(primary):
    """Return the methods that need a key or a signature: all but the health check."""
    return {path: verbs for path, verbs in routes(primary).items() if path != HEALTH}


def test_the_same_routes_stand_behind_each_entrance_and_an_operator_starts_nothing(table):
    wanted = {**WANTED, **{f"/iam{path}": verbs for path, verbs in WANTED.items()}}
    wanted |= {f"/operator{path}": verbs - {"POST"} for path, verbs in WANTED.items()}
    assert {path: set(verbs) for path, verbs in table.items()} == wanted


def test_the_root_takes_a_key_and_the_other_entrances_a_signature(table):
    for path, verbs in table.items():
        signed = path.startswith(("/iam", "/operator"))
        for method in verbs.values():
            assert method["authorization"] == ("AWS_IAM" if signed else "NONE")
            assert method["apiKeyRequired"] is not signed


def test_every_method_invokes_the_alias(primary, table):
    integrations = primary.of("apigateway/integration:Integration").values()
    assert len(integrations) == sum(len(verbs) for verbs in table.values()) + len([HEALTH])
    assert {(i["type"], i["integrationHttpMethod"]) for i in integrations} == {("AWS_PROXY", "POST")}
    assert all(i["uri"].endswith("-api:live/invocations") for i in integrations)
    permission = primary.of("lambda/permission:Permission")["api-gateway-invoke"]
    assert (permission["qualifier"], permission["principal"]) == ("live", "apigateway.amazonaws.com")
    assert permission["sourceArn"].endswith(":api-gateway-rest/v1/*")


def test_the_health_check_alone_takes_no_key_and_asks_the_function(primary):
    (method,) = routes(primary)[HEALTH].values()
    assert (method["httpMethod"], method["authorization"], method["apiKeyRequired"]) == ("GET", "NONE", False)
    call = primary.of("apigateway/integration:Integration")["api-gateway-health-get-function"]
    assert call["resourceId"] == method["resourceId"]
    assert call["uri"].endswith("-api:live/invocations")


def test_the_integration_that_answered_health_checks_before_goes_first(primary):
    """A method has one integration: deleted last, the former one would take its successor along."""
    options = primary.options["api-gateway-health-get-function"]
    assert options.deleteBeforeReplace
    assert [alias.spec.name for alias in options.aliases] == ["api-gateway-health-get-mock"]


def test_health_checks_have_a_throttle_of_their_own(dev):
    """Neither do clients' requests use up what the checks need, nor the other way round."""
    health = dev.of("apigateway/methodSettings:MethodSettings")["api-gateway-health"]
    assert health["methodPath"] == "health/GET"
    assert (health["settings"]["throttlingRateLimit"], health["settings"]["throttlingBurstLimit"]) == (50, 100)
    assert health["settings"]["metricsEnabled"] is True, "the alarm on its errors needs them"
    assert "api-gateway-every-method" in dev.before("api-gateway-health")


def test_what_is_no_json_object_is_refused_before_it_costs_an_invocation(table):
    for path in ("/sessions", "/iam/sessions"):
        post = table[path]["POST"]
        assert post["requestModels"] == {"application/json": "NewSession"}
        assert post["requestValidatorId"] == "api-gateway-validator-id"
    assert definition.NEW_SESSION["type"] == "object"


def test_every_answer_of_the_gateway_itself_is_a_problem_document(primary):
    answers = {r["responseType"]: r for r in primary.of("apigateway/response:Response").values()}
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "INVALID_API_KEY", "THROTTLED", "BAD_REQUEST_BODY"} <= set(answers)
    for kind, answer in answers.items():
        assert answer["responseParameters"] == {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
        filled = (
            answer["responseTemplates"]["application/json"]
            .replace(
                "$context.error.messageString", '"said the gateway"'
            )  # API Gateway inserts the message with quotes
            .replace("$context.requestId", "6b1e9cbe")
        )
        assert "$" not in filled, "no other variable is known to a template"
        document = json.loads(filled)
        assert set(document) - {"status"} == {"type", "title", "detail", "instance"}
        assert document.get("status") == (int(answer["statusCode"]) if "statusCode" in answer else None), kind


@pytest.mark.parametrize(
    ("name", "value"), [("NEW_SESSION", {"type": "array"}), ("REFUSALS", definition.REFUSALS[:-1])]
)
def test_a_deployment_follows_every_change_of_the_definition(name, value, bare, stand_up_stack, monkeypatch):
    def trigger(estate):
        return estate.of("apigateway/deployment:Deployment")["api-gateway-deployment"]["triggers"]["definition"]

    assert trigger(stand_up_stack("dev", BARE)) == trigger(bare)
    for module in (definition, gateway):
        monkeypatch.setattr(module, name, value, raising=False)
    assert trigger(stand_up_stack("dev", BARE)) != trigger(bare)


def test_the_digest_sees_each_input_and_no_value_that_only_aws_knows(stand_up):
    def digest(**inputs):
        return definition.digest([("api-method", inputs)])

    def program():
        one, other = Output.from_input("a"), Output.from_input("b")
        assert digest(type="AWS_PROXY", uri=one) == digest(type="AWS_PROXY", uri=other)

    stand_up(program)
    assert digest(type="AWS_PROXY") != digest(type="AWS")
    assert digest(headers={"a": ["b"]}) != digest(headers={"a": ["c"]})


def test_nothing_is_deployed_before_all_of_it_is_there(primary):
    parts = {
        name
        for kind in (
            "method:Method",
            "integration:Integration",
            "response:Response",
            "methodResponse:MethodResponse",
            "integrationResponse:IntegrationResponse",
        )
        for name in primary.of(f"apigateway/{kind}")
    }
    assert parts <= primary.before("api-gateway-deployment")


def test_requests_are_throttled_counted_and_traced(dev):
    (plan,) = dev.of("apigateway/usagePlan:UsagePlan").values()
    assert plan["throttleSettings"] == {"rateLimit": 50, "burstLimit": 100}
    assert plan["quotaSettings"] == {"limit": 100_000, "period": "MONTH"}
    every = dev.of("apigateway/methodSettings:MethodSettings")["api-gateway-every-method"]
    assert every["methodPath"] == "*/*"
    assert (every["settings"]["throttlingRateLimit"], every["settings"]["throttlingBurstLimit"]) == (50, 100)
    assert every["settings"]["dataTraceEnabled"] is False, "it would log goals and findings in full"
    (stage,) = dev.of("apigateway/stage:Stage").values()
    assert stage["xrayTracingEnabled"] is True


@pytest.fixture(scope="module")
def clients(shared):
    """Return dev with three clients: one has limits of its own, one has two keys."""
    limits = {"throttleRate": 5, "throttleBurst": 6, "monthlyQuota": 7, "maxBudgetUsd": 2.5, "dailyCapUsd": 8}
    more = {"api.clients": {"default": {}, "partner": {"keys": 2}, "small": limits}}
    return shared("clients", "dev", {**BARE, **more, "api.iam": {"maxBudgetUsd": 1, "dailyCapUsd": 3}})


def test_each_client_has_keys_in_a_plan_of_its_own(clients):
    plans, keys = clients.of("apigateway/usagePlan:UsagePlan"), clients.of("apigateway/usagePlanKey:UsagePlanKey")
    found = {}
    for key in keys.values():
        found.setdefault(key["usagePlanId"].removesuffix("-id"), set()).add(key["keyId"])
    assert found == {
        "api-gateway-plan": {api_key_id("api-clients-default-current")},
        "api-gateway-partner-plan": {
            api_key_id("api-clients-partner-current"),
            api_key_id("api-clients-partner-next"),
        },
        "api-gateway-small-plan": {api_key_id("api-clients-small-current")},
    }
    assert plans["api-gateway-partner-plan"]["throttleSettings"] == {"rateLimit": 50, "burstLimit": 100}
    assert plans["api-gateway-small-plan"]["throttleSettings"] == {"rateLimit": 5, "burstLimit": 6}
    assert plans["api-gateway-small-plan"]["quotaSettings"] == {"limit": 7, "period": "MONTH"}
    assert len({plan["name"] for plan in plans.values()}) == 3


def test_the_function_knows_each_key_by_its_id_and_what_its_client_may_spend(clients):
    variables = clients.of("lambda/function:Function")["api-function"]["environment"]["variables"]
    assert json.loads(variables["CLIENTS_BY_KEY_ID"]) == {
        api_key_id("api-clients-default-current"): "default",
        api_key_id("api-clients-partner-current"): "partner",
        api_key_id("api-clients-partner-next"): "partner",
        api_key_id("api-clients-small-current"): "small",
    }
    default = {"max_budget_usd": 10, "daily_cap_usd": 25}
    assert json.loads(variables["CLIENT_LIMITS"]) == {
        "default": default,
        "partner": default,
        "small": {"max_budget_usd": 2.5, "daily_cap_usd": 8},
    }
    assert json.loads(variables["IAM_LIMITS"]) == {"max_budget_usd": 1, "daily_cap_usd": 3}


def test_each_client_reads_its_keys_in_the_outputs(clients):
    keys = clients.exports["api_keys"]
    assert {client: set(labels) for client, labels in keys.items()} == {
        "default": {"current"},
        "partner": {"current", "next"},
        "small": {"current"},
    }
    assert clients.exports["api_key"] == keys["default"]["current"]
    assert {"api_key", "api_keys"} <= clients.secret_exports


def test_without_a_default_client_the_first_by_name_has_the_output_api_key(stand_up_stack):
    estate = stand_up_stack("dev", {**BARE, "api.clients": {"zebra": {}, "ant": {}}})
    assert estate.exports["api_key"] == estate.exports["api_keys"]["ant"]["current"]


def test_the_variables_of_as_many_clients_as_are_allowed_fit_into_a_function(stand_up_stack):
    limits = {"keys": 2, "maxBudgetUsd": 9999.99, "dailyCapUsd": 999_999.99}
    names = [f"c{number:030}" for number in range(MAX_CLIENTS)]
    estate = stand_up_stack("dev", {**BARE, "api.clients": dict.fromkeys(names, limits)})
    variables = estate.of("lambda/function:Function")["api-function"]["environment"]["variables"]
    assert len(json.loads(variables["CLIENTS_BY_KEY_ID"])) == 2 * MAX_CLIENTS
    assert len(json.dumps(variables, separators=(",", ":"))) <= ALLOWED_BYTES


def test_a_line_is_logged_for_each_request_without_addresses(primary):
    (stage,) = primary.of("apigateway/stage:Stage").values()
    line = json.loads(stage["accessLogSettings"]["format"])
    assert line["request_id"] == "$context.requestId"
    assert not any("sourceIp" in value or "apiKey}" in value for value in line.values())


def test_old_tls_is_refused(primary):
    (api,) = primary.of("apigateway/restApi:RestApi").values()
    assert api["securityPolicy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    assert api["endpointAccessMode"] == "STRICT"
    assert api["endpointConfiguration"] == {"types": "REGIONAL"}


def test_the_accounts_log_role_belongs_to_one_stack(dev, bare):
    assert "api-account" in dev.before("api-gateway-stage"), "a stage that logs is refused without it"
    assert not bare.of("apigateway/account:Account")
    assert "api-account-logs" not in bare.of("iam/role:Role")


def test_what_the_account_is_told_of_the_log_role_stays_when_a_stack_goes(primary):
    """Another stack may have set another role since, and would lose its logs."""
    assert primary.options["api-account"].retainOnDelete
    assert not primary.options["api-account-logs"].retainOnDelete, "or the stack could not come back"
