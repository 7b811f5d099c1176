# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster of Alertmanagers without certificates, as in a VPN."""

from __future__ import annotations

from pathlib import Path

from tests.system.test_alertmanagers import send_one_message


def test_alertmanagers_in_plain_text_send_one_message(tmp_path: Path) -> None:
    send_one_message(tmp_path, {})
