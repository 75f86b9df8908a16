"""PostgreSQL database."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from infra.settings.section import Section


class DatabaseSettings(Section):
    """PostgreSQL on RDS, for the history of sessions."""

    instance_class: str = Field(default="db.t4g.micro", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    # A major version alone takes RDS's default minor version.
    engine_version: str = Field(default="18", pattern=r"^\d{2}(\.\d+)?$")
    storage_gb: int = Field(default=20, ge=20, le=65_536)
    max_storage_gb: int = Field(default=100, ge=20, le=65_536)
    multi_az: bool = False
    backup_days: int = Field(default=7, ge=1, le=35)
    deletion_protection: bool = False
    promoted: bool = False  # standby only: the replica has been promoted and accepts writes
    password: Literal["managed", "secret"] = "managed"  # noqa: S105  # storage of the password, not its value
    # Path of the certificate authorities of RDS in the functions. No Lambda runtime contains the authorities: make
    # package RDS_CA=… puts them into the layer, at this path.
    root_cert: str = Field(default="/opt/rds/global-bundle.pem", pattern=r"^/")

    @model_validator(mode="after")
    def _check_storage_growth(self) -> Self:
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError(f"maxStorageGb = {self.max_storage_gb}: must exceed storageGb ({self.storage_gb}) by 10 %")
        return self
