# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of secrets, with and without a key, and in FIPS mode."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    fingerprint,
)

SALT = "0123456789abcdef" * 2
SECRETS = {"password": "s3cret"}


@pytest.fixture(params=["usual", "FIPS"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let OpenSSL be as usual, or refuse scrypt as its FIPS provider does."""

    def refuse(*_words: Any, **_options: Any) -> bytes:
        raise ValueError("[digital envelope routines] unsupported")

    if request.param == "FIPS":
        monkeypatch.setattr(fingerprint.hashlib, "scrypt", refuse)
        monkeypatch.setattr(fingerprint, "ROUNDS", 1000)
    return str(request.param)


@pytest.mark.parametrize("key", ["", "key"])
def test_a_record_holds_for_its_secrets_only(mode: str, key: str) -> None:
    stored = fingerprint.record(SECRETS, "uid", key, SALT, 3)
    assert "s3cret" not in str(stored)
    assert fingerprint.holds(stored, SECRETS, "uid", key, 3)
    for secrets, uid, version in (
        ({"password": "another"}, "uid", 3),
        (SECRETS, "other", 3),
        (SECRETS, "uid", 4),
        ({**SECRETS, "token": "t"}, "uid", 3),
    ):
        assert not fingerprint.holds(stored, secrets, uid, key, version)


def test_secrets_are_written_again_when_fips_mode_is_turned_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = fingerprint.record(SECRETS, "uid", "", SALT, 3)
    monkeypatch.delattr(fingerprint.hashlib, "scrypt")
    monkeypatch.setattr(fingerprint, "ROUNDS", 1000)
    assert not fingerprint.holds(stored, SECRETS, "uid", "", 3)
