"""Cost estimates: computed from the graph at stated prices, without silent omissions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.cost import meters, prices
from infra.cost.estimate import UnpricedError, estimate
from infra.cost.lines import Line
from infra.cost.meters.data import PRIMARY_GB
from infra.cost.traffic import DEV, TRAFFIC
from infra.graph import Graph
from infra.pages import generate as docs


@pytest.fixture(scope="module")
def graph_of(dev, prod, standby):
    """Return graphs shared with other tests; only prod without a second region is captured for these tests."""
    known = {"dev": dev, "prod": prod, "prod-secondary": standby}
    single = docs.graph_of("prod", alone=True)
    return lambda stack, *, alone=False: single if alone else known[stack].graph(stack)


@pytest.fixture(scope="module")
def estates(graph_of):
    return {name: (found, most) for name, found, most in docs.estimates(graph_of)}


def lines(found, resource):
    return {line.label: line for line in found.lines if line.resource == resource}


@pytest.mark.parametrize("name", docs.MOST_USD)
def test_an_estate_costs_no_more_than_it_may(estates, name):
    found, most = estates[name]
    assert 0 < found.usd <= most, found.by_service()


def test_the_documentation_says_what_the_graph_says(graph_of):
    stale = [path.name for path, text in docs.pages(graph_of) if not path.exists() or path.read_text() != text]
    assert stale == [], "run make docs"


def test_a_type_that_nobody_priced_is_an_error_and_no_zero(graph_of):
    graph = graph_of("dev")
    strange = replace(next(graph.custom), type="aws:redshift/cluster:Cluster")
    with pytest.raises(UnpricedError, match="no price for aws:redshift/cluster:Cluster: add a meter"):
        estimate(Graph(stack="dev", resources=(strange,), exports={}), TRAFFIC["dev"])


def test_nothing_is_both_metered_and_free():
    assert not set(meters.METERS) & meters.FREE


def test_a_database_is_paid_by_the_hour_in_each_zone_and_by_the_gigabyte(estates):
    prod, _ = estates["prod"]
    hours = next(line for label, line in lines(prod, "database-instance").items() if label.startswith("hours"))
    assert (hours.quantity, hours.unit_usd) == (2 * prices.HOURS, prices.price("rds.db.t4g.micro"))
    dev, _ = estates["dev"]
    hours = next(line for label, line in lines(dev, "database-instance").items() if label.startswith("hours"))
    assert (hours.quantity, hours.unit_usd) == (prices.HOURS, prices.price("rds.db.t4g.micro"))


def test_a_replica_is_taken_to_be_as_large_as_its_source(graph_of):
    assert graph_of("prod").of("rds/instance:Instance")["database-instance"].inputs["allocatedStorage"] == PRIMARY_GB


def test_each_signing_key_is_paid_by_the_month(estates):
    dev, _ = estates["dev"]
    keys = [line for line in dev.lines if line.label == "keys"]
    assert {line.usd for line in keys} == {1.0}
    assert len(keys) >= 12, "ten agents, the coordinator, the data key"


def test_the_second_key_of_a_rotation_costs_a_dollar_and_no_more_signatures(stand_up_stack):
    rotated = stand_up_stack("dev", {"keys.generations": {"coordinator": 2, "h01": 2}})
    before, after = (
        estimate(estate.graph("dev"), TRAFFIC["dev"]) for estate in (stand_up_stack("dev", {"fleet.size": 1}), rotated)
    )
    assert after.usd - before.usd == pytest.approx(2.0)


def test_a_dearer_setting_shows(frugal):
    dear = estimate(frugal.graph("prod"), TRAFFIC["prod"])
    nat = [line for line in dear.lines if line.type == "aws:ec2/natGateway:NatGateway"]
    assert sum(line.usd for line in nat) == pytest.approx(0.045 * 730)


def test_a_line_is_quantity_times_price():
    assert Line(resource="r", type="t", label="w", quantity=3, unit_usd=0.5).usd == 1.5


def test_the_sources_prices_are_the_ones_that_count():
    assert not set(prices.ANALYSIS_PRICES) & set(prices.AWS_PRICES)
    with pytest.raises(KeyError):
        prices.price("gold")


def test_the_functions_own_metrics_are_paid_for_the_hours_in_which_they_come(estates):
    """AWS bills custom metrics per hour with data: an agent's while sessions run, the watchdog's always."""
    found, _ = estates["dev"]
    metrics = {line.resource: line.usd for line in found.lines if line.label == meters.HOURLY_METRICS}
    hours = 2 * DEV.sessions
    assert metrics["watchdog-function"] == pytest.approx(4 * 0.30)
    of_agents = [usd for resource, usd in metrics.items() if resource.startswith("agents-h")]
    assert sum(of_agents) == pytest.approx(11 * 4 * 0.30 * hours / 730), "each agent's, and the stack's"
    filters = [usd for resource, usd in metrics.items() if resource.startswith("queries-errors-")]
    assert filters == pytest.approx([0.30 * hours / 730] * 14)


def test_a_stack_that_always_works_pays_its_metrics_whole(graph_of):
    busy = estimate(graph_of("dev"), replace(DEV, sessions=1_000))
    of_agents = [line for line in busy.lines if line.resource.startswith("agents-h")]
    assert sum(line.usd for line in of_agents if line.label == meters.HOURLY_METRICS) == pytest.approx(11 * 4 * 0.30)
