"""Ctrl-C, wherever it meets a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from local.cli import handle_interruptions


class Finalized:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


@pytest.fixture(autouse=True)
def interruptible(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sys.unraisablehook", None)  # put back in the end
    before = signal.getsignal(signal.SIGTERM)
    handle_interruptions()
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("ignored", [False, True])
def test_an_interruption_in_a_finalizer_wakes_whoever_waits_also_in_the_background(ignored: bool) -> None:
    def interrupted() -> bool:
        Finalized(KeyboardInterrupt)  # gone at once
        return threading.Event().wait(30)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            assert interrupted(), "it waited to the end"
    finally:
        signal.signal(signal.SIGINT, before)


def test_any_other_error_in_a_finalizer_is_shown_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    Finalized(ValueError)
    assert "ValueError" in capsys.readouterr().err
