"""The Pulumi program: declares the stack that ``Pulumi.<stack>.yaml`` describes."""

from infra.program import stack

stack()
