"""Exports of a graph for Terraform's tools.

pulumi-aws is generated from Terraform's AWS provider, so types and properties translate back (``names``). A graph is
exported as a plan for scanners (``plan``), and as a configuration that the provider itself judges (``configuration``).
"""
