"""Stack settings: one typed tree under ``infrafabric:settings``, validated completely before any resource is declared.

Keys are camelCase in ``Pulumi.<stack>.yaml`` (``fleet.handlerTimeoutS``). The tree holds no secrets; secrets are
separate configuration keys, see ``Secrets``. docs/configuration.md lists all keys.
"""

from infra.settings.account import RECORDER_CONCURRENCY, AccountSettings, BudgetSettings, TagSettings
from infra.settings.api import ApiSettings, ClientSettings, SpendSettings
from infra.settings.database import DatabaseSettings
from infra.settings.front import AppSettings, DnsSettings, EdgeSettings, ReleaseSettings
from infra.settings.keys import KeySettings
from infra.settings.network import NetworkSettings
from infra.settings.operations import (
    AlarmThresholdSettings,
    BackupSettings,
    GithubOidcSettings,
    GuardrailsSettings,
    ObservabilitySettings,
)
from infra.settings.regions import PrimarySettings, RecoverySettings
from infra.settings.secrets import Secrets
from infra.settings.section import Section
from infra.settings.swarm import FleetSettings, ModelPriceSettings, ModelSettings, RuntimeSettings
from infra.settings.tree import COORDINATOR, LONGEST_STACK_NAME, STACK_NAME, Settings

__all__ = [
    "COORDINATOR",
    "LONGEST_STACK_NAME",
    "RECORDER_CONCURRENCY",
    "STACK_NAME",
    "AccountSettings",
    "AlarmThresholdSettings",
    "ApiSettings",
    "AppSettings",
    "BackupSettings",
    "BudgetSettings",
    "ClientSettings",
    "DatabaseSettings",
    "DnsSettings",
    "EdgeSettings",
    "FleetSettings",
    "GithubOidcSettings",
    "GuardrailsSettings",
    "KeySettings",
    "ModelPriceSettings",
    "ModelSettings",
    "NetworkSettings",
    "ObservabilitySettings",
    "PrimarySettings",
    "RecoverySettings",
    "ReleaseSettings",
    "RuntimeSettings",
    "Secrets",
    "Section",
    "Settings",
    "SpendSettings",
    "TagSettings",
]
