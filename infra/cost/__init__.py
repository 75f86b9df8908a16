"""What a stack costs a month: its graph, metered resource by resource, at list prices and stated traffic."""

from infra.cost.estimate import Estimate, UnpricedError, estimate
from infra.cost.lines import Line
from infra.cost.traffic import TRAFFIC, Traffic

__all__ = ["TRAFFIC", "Estimate", "Line", "Traffic", "UnpricedError", "estimate"]
