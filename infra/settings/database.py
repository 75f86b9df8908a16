"""PostgreSQL."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from infra.settings.section import Section


class DatabaseSettings(Section):
    """PostgreSQL for the history of sessions."""

    instance_class: str = Field(default="db.t4g.micro", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    engine_version: str = Field(default="18", pattern=r"^\d{2}(\.\d+)?$")  # a bare major takes its default minor
    storage_gb: int = Field(default=20, ge=20, le=65_536)
    max_storage_gb: int = Field(default=100, ge=20, le=65_536)
    multi_az: bool = False
    backup_days: int = Field(default=7, ge=1, le=35)
    deletion_protection: bool = False
    promoted: bool = False  # a standby's: it has let go of the primary's database, and is written to
    password: Literal["managed", "secret"] = "managed"  # noqa: S105  # how it is kept, not what it is
    # Where the functions find the authorities that sign RDS's certificates. No runtime brings them: make package
    # RDS_CA=… puts them into the layer, at this path.
    root_cert: str = Field(default="/opt/rds/global-bundle.pem", pattern=r"^/")

    @model_validator(mode="after")
    def _storage_can_grow(self) -> Self:
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError(f"maxStorageGb = {self.max_storage_gb}: must exceed storageGb ({self.storage_gb}) by 10 %")
        return self
