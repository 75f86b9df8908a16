"""Graph of a stack without a Pulumi engine: all declared resources, captured once.

Tests, cost, policy and validation read the same graph: the real program, run to its end under mocks.
"""

from infra.graph.capture import Graph, Resource, capture

__all__ = ["Graph", "Resource", "capture"]
