"""Ctrl-C, wherever it meets a command."""

from __future__ import annotations

import threading

import pytest

from local.cli import interrupt_again


class Finalized:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def test_an_interruption_in_a_finalizer_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.unraisablehook", interrupt_again)

    def interrupted() -> None:
        Finalized(KeyboardInterrupt)  # gone at once
        threading.Event().wait(30)

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_any_other_error_in_a_finalizer_is_shown_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.unraisablehook", interrupt_again)
    Finalized(ValueError)
    assert "ValueError" in capsys.readouterr().err
