"""TLS proxy for the local PostgreSQL, whose wheel is built without TLS.

The server listens on a Unix socket only. The proxy listens on 127.0.0.1, accepts libpq's SSLRequest, and refuses
clients without TLS, as ``rds.force_ssl`` does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
import struct
from pathlib import Path

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_FIRST_MESSAGE_S = 10.0  # timeout for a client's first message


def refusal() -> bytes:
    """Return PostgreSQL's FATAL message for a connection without TLS, in the words of RDS."""
    fields = (
        b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry: connections without encryption are refused (rds.force_ssl)\0\0"
    )
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: Path, tls: ssl.SSLContext) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, TimeoutError):
        if await asyncio.wait_for(reader.readexactly(8), _FIRST_MESSAGE_S) != _SSL_REQUEST:
            writer.write(refusal())
            await writer.drain()
            writer.close()
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(tls)
        server_reader, server_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_pipe(reader, server_writer), _pipe(server_reader, writer))


async def run(port: int, socket: Path, certificate: Path, key: Path) -> None:
    """Accept TLS connections on 127.0.0.1:``port`` and forward each to ``socket`` until cancelled."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda r, w: _serve(r, w, socket, tls), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run the proxy until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for name in ("socket", "certificate", "key"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    asyncio.run(run(args.port, args.socket, args.certificate, args.key))


if __name__ == "__main__":
    main()
