"""Judgement of the graphs by Terraform's AWS provider, from which pulumi-aws is generated."""
