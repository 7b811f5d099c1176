# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a Promtail configuration by having Promtail build everything that it describes.

promtail-check PROMTAIL -config.file=FILE

Promtail's -check-syntax accepts unknown pipeline stages, bad regular expressions and missing certificates. A dry run
refuses them, but then runs on and reads logs. This ends it once it has started, before it looks for its first target.
"""

from __future__ import annotations

import subprocess
import sys
import threading

# What Promtail logs when everything is built; service discovery reports targets five seconds later at the earliest.
STARTED = "Starting Promtail"
# With this its complaint about the file begins, which may be of many lines.
NOT_PARSED = "Unable to parse config"
# Promtail itself may be running with the same configuration, and syslog or push targets hold their ports then.
PORT_TAKEN = "address already in use"
DRY_RUN = (
    "-dry-run",
    "-log.level=info",
    "-server.http-listen-address=127.0.0.1",
    "-server.http-listen-port=0",
)
SECONDS = 30


def main(command: list[str]) -> int:
    """Return 0 if Promtail starts with this configuration, else tell why it does not."""
    told: list[str] = []
    with subprocess.Popen(
        [*command, *DRY_RUN],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as promtail:
        alarm = threading.Timer(SECONDS, promtail.kill)
        alarm.start()
        for line in promtail.stdout:
            told.append(line.strip())
            if STARTED in line:
                promtail.kill()
                alarm.cancel()
                return 0
        alarm.cancel()
    if any(PORT_TAKEN in line for line in told):
        return 0
    print("\n".join(complaints(told)) or f"Promtail neither started nor failed within {SECONDS} s.")
    return 1


def complaints(told: list[str]) -> list[str]:
    """The lines that say what is wrong; all of them if none does."""
    for index, line in enumerate(told):
        if line.startswith(NOT_PARSED):
            return told[index:]
    return [line for line in told if "level=error" in line] or told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
