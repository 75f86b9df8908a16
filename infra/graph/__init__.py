"""The program's graph without an engine: what a stack would declare, captured once and read by whoever needs it.

Tests, cost, policy, validation and diagrams look at the same thing: the real program, run to its end under mocks.
"""

from infra.graph.capture import Graph, Resource, capture

__all__ = ["Graph", "Resource", "capture"]
