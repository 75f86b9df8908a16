"""``fabric bus`` as a shell sees it: standard input, exit status, one line on standard error."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from infrafabric.bus.envelope import sign
from infrafabric.cli.main import main

AT = 1_764_000_000_000
COORDINATOR, H01 = "if://agent/coordinator", "if://agent/h01"
FABRIC = [sys.executable, "-m", "infrafabric.cli.main"]


class Answer(NamedTuple):
    status: int
    out: str
    error: str


@pytest.fixture
def fabric(monkeypatch, capsysbinary):
    def run(*argv: object, stdin: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main([str(arg) for arg in argv])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, error = capsysbinary.readouterr()
        return Answer(status, out.decode(), error.decode())

    return run


@pytest.fixture
def registry_file(tmp_path, signer):
    file = tmp_path / "registry.json"
    file.write_text(json.dumps({COORDINATOR: signer.public_key}))
    return file


@pytest.fixture
def key_file(tmp_path, pem):
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    return file


@pytest.fixture
def signed(signer, draft) -> bytes:
    return sign(draft(), signer)


def test_a_good_message_is_valid(fabric, registry_file, signed, draft):
    how = ("--registry", registry_file, "--receiver", H01, "--at", AT)
    answer = fabric("bus", "verify", *how, stdin=signed + b"\n")
    assert json.loads(answer.out) == {"valid": True, "reason": "ok", "detail": f"request {draft()['message_id']}"}
    assert (answer.status, answer.error) == (0, "")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (["--at", AT + 300_001], "stale"),
        (["--at", AT, "--receiver", "if://agent/h02"], "wrong-receiver"),
        ([], "stale"),
    ],
    ids=["at another time", "for somebody else", "now"],
)
def test_an_invalid_message_gets_its_reason(fabric, registry_file, signed, how, reason):
    answer = fabric("bus", "verify", "--registry", registry_file, *how, stdin=signed)
    verdict = json.loads(answer.out)
    assert (answer.status, verdict["valid"], verdict["reason"]) == (1, False, reason)
    assert verdict["detail"]


@pytest.mark.parametrize(
    ("stdin", "status", "reason"),
    [
        (b"", 2, "not-json"),
        (b"hello", 2, "not-json"),
        (b"\xff\xfe", 2, "not-json"),
        (b"\xef\xbb\xbf{}", 2, "not-json"),
        (b"[" * 100_000, 2, "not-json"),
        (b"[" * 100_000 + b"]" * 100_000, 1, "too-deep"),
        (b" " * 10_000_000, 1, "oversized"),
        (b"null", 1, "not-an-object"),
        (b'{"a": 1, "a": 1}', 1, "duplicate-key"),
        (b'{"a": NaN}', 1, "bad-number"),
        (b'{"a": "\\ud800"}', 1, "bad-text"),
        (b"{}", 1, "missing-member"),
    ],
    ids=lambda value: ascii(value[:12]) if isinstance(value, bytes) else str(value),
)
def test_only_what_is_not_json_ends_with_2(fabric, registry_file, stdin, status, reason):
    answer = fabric("bus", "verify", "--registry", registry_file, stdin=stdin)
    assert (answer.status, json.loads(answer.out)["reason"]) == (status, reason)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["bus", "verify"], "fabric bus verify: the following arguments are required: --registry"),
        (["bus", "verify", "--registry", "nowhere.json"], "nowhere.json: No such file"),
        (
            ["bus", "verify", "--registry", "REGISTRY", "--receiver", "h01"],
            "--receiver 'h01': a principal is if://agent/",
        ),
        (["bus", "verify", "--registry", "REGISTRY", "--at", "soon"], "argument --at: invalid int value: 'soon'"),
        (["bus", "verify", "--registry", "KEY"], "key.pem: the registry cannot be read: not-json"),
        (["bus", "sign"], "fabric bus sign: the following arguments are required: --key"),
        (["bus", "sign", "--key", "nowhere.pem"], "nowhere.pem: No such file"),
        (["bus", "sign", "--key", "."], ".: Is a directory"),
        (["bus"], "fabric bus: the following arguments are required: COMMAND"),
        ([], "fabric: the following arguments are required: GROUP"),
        (["buzz"], "invalid choice: 'buzz'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_ends_with_2_and_one_clear_line(fabric, registry_file, key_file, argv, message):
    files = {"REGISTRY": registry_file, "KEY": key_file}
    answer = fabric(*(files.get(arg, arg) for arg in argv))
    assert (answer.status, answer.out) == (2, "")
    assert message in answer.error
    assert answer.error.count("\n") == 1


def test_what_sign_prints_is_what_verify_accepts(fabric, registry_file, key_file, draft):
    signed = fabric("bus", "sign", "--key", key_file, stdin=json.dumps(draft(content={"text": "é"})).encode())
    assert (signed.status, signed.error) == (0, "")
    answer = fabric("bus", "verify", "--registry", registry_file, "--at", AT, stdin=signed.out.encode())
    assert answer.status == 0


def test_nothing_is_invented_unless_asked(fabric, registry_file, key_file, draft):
    message = {name: v for name, v in draft().items() if name not in ("schema", "message_id", "timestamp")}
    stdin = json.dumps(message).encode()
    answer = fabric("bus", "sign", "--key", key_file, stdin=stdin)
    assert (answer.status, answer.out) == (1, "")
    assert "missing-member: the message lacks message_id, schema, timestamp (--fill adds" in answer.error
    filled = fabric("bus", "sign", "--key", key_file, "--fill", stdin=stdin)
    assert fabric("bus", "verify", "--registry", registry_file, stdin=filled.out.encode()).status == 0


def test_fill_keeps_what_is_given(fabric, key_file, draft):
    answer = fabric("bus", "sign", "--key", key_file, "--fill", stdin=json.dumps(draft()).encode())
    assert json.loads(answer.out).items() >= draft().items()


@pytest.mark.parametrize(
    ("stdin", "status", "message"),
    [(b"{", 2, "not-json"), (b"[]", 1, "not-an-object"), (b'{"a": 1e400}', 1, "bad-number: 1e400")],
)
def test_what_cannot_be_signed_is_said_in_one_line(fabric, key_file, stdin, status, message):
    answer = fabric("bus", "sign", "--key", key_file, stdin=stdin)
    assert (answer.status, answer.out) == (status, "")
    assert message in answer.error
    assert answer.error.count("\n") == 1


def test_a_file_that_is_no_key_is_named(fabric, registry_file, draft):
    answer = fabric("bus", "sign", "--key", registry_file, stdin=json.dumps(draft()).encode())
    assert answer.status == 2
    assert "registry.json: not a private key in PEM form; make one with: openssl genpkey" in answer.error


def test_a_reader_that_went_away_ends_it_quietly(registry_file):
    read, write = os.pipe()
    os.close(read)
    command = [*FABRIC, "bus", "verify", "--registry", str(registry_file)]
    done = subprocess.run(command, input=b"{}", stdout=write, stderr=subprocess.PIPE, check=False, timeout=30)
    os.close(write)
    assert (done.returncode, done.stderr) == (130, b"")


def test_ctrl_c_ends_it_quietly(registry_file):
    # A message that never comes: the registry is a pipe, so opening it for writing waits until the command reads it.
    fifo = registry_file.with_name("fifo")
    os.mkfifo(fifo)
    command = [*FABRIC, "bus", "verify", "--registry", str(fifo)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with open(fifo, "wb"):
            process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (130, b"", b"")
