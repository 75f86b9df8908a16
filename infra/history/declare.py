"""History of sessions: the database in the VPC, and the two functions that connect to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import pulumi
from pulumi import ResourceOptions

from infra.foundation.foundation import Foundation
from infra.handover.outputs import Handover
from infra.history.database import DB_NAME, Database, DatabaseArgs, ReplicaSource
from infra.history.migrator import Migrator, MigratorArgs
from infra.history.recorder import Recorder, RecorderArgs
from infra.network.network import Network
from infra.settings import Secrets, Settings


@dataclass(frozen=True, kw_only=True)
class History:
    """Database, migrator and recorder, declared together if the settings have a database; not a component."""

    # AWS services that the functions in the VPC call.
    called_services: ClassVar[Sequence[str]] = sorted({*Migrator.called_services, *Recorder.called_services})
    network: Network
    database: Database
    recorder: Recorder

    @classmethod
    def declare(
        cls,
        settings: Settings,
        secrets: Secrets,
        foundation: Foundation,
        network: Network,
        handover: Handover | None,
        opts: ResourceOptions,
    ) -> Self:
        """Declare database, migrator and recorder, and export the database's address.

        Args:
            handover: identifiers from the primary stack; None in a primary.
        """
        assert settings.database is not None, "called only if the settings have a database"
        database = Database(
            "database",
            DatabaseArgs(
                foundation=foundation,
                network=network,
                settings=settings.database,
                password=secrets.database_password,
                recovery_region=settings.recovery.region if settings.recovery else None,
                source=_replica_source(handover) if handover else None,
            ),
            opts,
        )
        migrator = Migrator(
            "migrator",
            MigratorArgs(
                foundation=foundation,
                network=network,
                database=database,
                runs=handover is None or settings.database.promoted,
            ),
            opts,
        )
        if migrator.invocation:
            pulumi.export("migrations", migrator.invocation.result)
        recorder = Recorder(
            "recorder",
            RecorderArgs(foundation=foundation, network=network, database=database, migrator=migrator),
            opts,
        )
        pulumi.export("database", {"endpoint": database.host, "port": database.port, "name": DB_NAME})
        return cls(network=network, database=database, recorder=recorder)


def _replica_source(handover: Handover) -> ReplicaSource:
    return ReplicaSource(
        arn=handover.database_arn.apply(_require_database),
        secret_arn=handover.database_secret_arn.apply(_require_database),
    )


def _require_database(arn: str | None) -> str:
    if arn is None:
        raise pulumi.RunError(
            "settings.database is set, but the primary stack has no database to replicate: leave database out of this "
            "stack, or set database in the primary and run pulumi up there first"
        )
    return arn
