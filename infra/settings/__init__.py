"""What a stack is: one typed tree under ``infrafabric:settings``, checked whole before anything is declared.

Keys are camelCase in ``Pulumi.<stack>.yaml`` (``fleet.handlerTimeoutS``). No secret lives in the tree; secrets are
configuration keys of their own, see ``Secrets``. docs/configuration.md lists all of them.
"""

from infra.settings.account import Budget, Tags
from infra.settings.api import Api
from infra.settings.database import Database
from infra.settings.front import App, Dns, Edge, Release
from infra.settings.network import Network
from infra.settings.operations import Backup, GithubOidc, Guardrails, Observability, Thresholds
from infra.settings.regions import Primary, Recovery
from infra.settings.secrets import Secrets
from infra.settings.section import Section
from infra.settings.swarm import Fleet, Model, Price, Runtime
from infra.settings.tree import LONGEST_STACK_NAME, STACK_NAME, Settings

__all__ = [
    "LONGEST_STACK_NAME",
    "STACK_NAME",
    "Api",
    "App",
    "Backup",
    "Budget",
    "Database",
    "Dns",
    "Edge",
    "Fleet",
    "GithubOidc",
    "Guardrails",
    "Model",
    "Network",
    "Observability",
    "Price",
    "Primary",
    "Recovery",
    "Release",
    "Runtime",
    "Secrets",
    "Section",
    "Settings",
    "Tags",
    "Thresholds",
]
