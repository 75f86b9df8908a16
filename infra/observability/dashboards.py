"""CloudWatch dashboards from ``infra.observability.dashboard_table``: one page, or one page per subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.naming.context import StackContext
from infra.observability.dashboard_table import combined, dashboards
from infra.observability.watched import Watched


@dataclass(frozen=True, kw_only=True)
class DashboardsArgs:
    context: StackContext
    watched: Watched
    layout: Literal["combined", "each"]


class Dashboards(ComponentResource):
    """CloudWatch dashboards, one per subject.

    CloudWatch cannot tag dashboards, so their names carry the stack.
    """

    def __init__(self, name: str, args: DashboardsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Dashboards", name, opts=opts)
        pages = dashboards(args.watched) if args.layout == "each" else {"all": combined(args.watched)}
        for label, body in pages.items():
            aws.cloudwatch.Dashboard(
                f"{name}-{label}",
                dashboard_name=args.context.physical_name(label),
                dashboard_body=Output.json_dumps(body, sort_keys=True),
                opts=ResourceOptions(parent=self),
            )
        self.register_outputs({})
