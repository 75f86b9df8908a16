"""The program's graph without an engine: what a stack would declare, captured once and read by whoever needs it.

Tests, cost, policy, validation and diagrams look at the same thing: the real program, run to its end under mocks.
"""

from infra.graph.capture import Graph, Recorder, Resource, capture, run

__all__ = ["Graph", "Recorder", "Resource", "capture", "run"]
