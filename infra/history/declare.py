"""The part of a stack that keeps history: the database in the network, and the functions that reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import pulumi
from pulumi import ResourceOptions

from infra.foundation.base import Base
from infra.handover.outputs import Handover
from infra.history.database import DB_NAME, Database, DatabaseArgs, Origin
from infra.history.migrator import Migrator, MigratorArgs
from infra.history.recorder import Recorder, RecorderArgs
from infra.network.network import Network
from infra.settings import Secrets, Settings


@dataclass(frozen=True, kw_only=True)
class History:
    """Not a component: what stands, or does not, by the setting ``database``."""

    calls: ClassVar[Sequence[str]] = sorted({*Migrator.calls, *Recorder.calls})  # services, from inside the VPC
    network: Network
    database: Database
    recorder: Recorder

    @classmethod
    def declare(
        cls,
        settings: Settings,
        secrets: Secrets,
        base: Base,
        network: Network,
        given: Handover | None,
        here: ResourceOptions,
    ) -> Self:
        """Declare it; ``given`` is what a standby's primary handed over."""
        assert settings.database is not None, "asked for only where the settings have a database"
        kept = DatabaseArgs(
            base=base,
            network=network,
            settings=settings.database,
            password=secrets.database_password,
            recovery_region=settings.recovery.region if settings.recovery else None,
            origin=_origin(given) if given else None,
        )
        database = Database("database", kept, here)
        runs = given is None or settings.database.promoted
        migrated = MigratorArgs(base=base, network=network, database=database, runs=runs)
        migrator = Migrator("migrator", migrated, here)
        if migrator.run:
            pulumi.export("migrations", migrator.run.result)
        fed = RecorderArgs(base=base, network=network, database=database, migrator=migrator, fleet=settings.fleet)
        recorder = Recorder("recorder", fed, here)
        pulumi.export("database", {"endpoint": database.host, "port": database.port, "name": DB_NAME})
        return cls(network=network, database=database, recorder=recorder)


def _origin(given: Handover) -> Origin:
    return Origin(
        arn=given.database_arn.apply(_there_is_one), secret_arn=given.database_secret_arn.apply(_there_is_one)
    )


def _there_is_one(found: str | None) -> str:
    if found is None:
        raise pulumi.RunError(
            "settings.database is set, and the primary has no database to follow: leave it out here, or set it there "
            "and run pulumi up in that stack first"
        )
    return found
