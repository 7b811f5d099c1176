# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a Promtail configuration by letting Promtail build everything in it.

promtail-check PROMTAIL -config.file=FILE

Promtail's -check-syntax accepts unknown pipeline stages, bad regular expressions and missing
certificates. A dry run refuses them, but then continues and reads logs. This script ends the dry
run once it has started, before it looks for its first target.
"""

from __future__ import annotations

import subprocess
import sys
import threading

# Promtail logs this when everything is built. Service discovery reports targets five seconds later
# at the earliest.
STARTED = "Starting Promtail"
# First line of Promtail's error about an unreadable file, which may have several lines.
NOT_PARSED = "Unable to parse config"
# A running Promtail with the same configuration holds the ports of its syslog or push targets.
PORT_TAKEN = "address already in use"
DRY_RUN = (
    "-dry-run",
    "-log.level=info",
    "-server.http-listen-address=127.0.0.1",
    "-server.http-listen-port=0",
)
SECONDS = 30


def main(command: list[str]) -> int:
    """Return 0 if Promtail starts with this configuration; otherwise print its errors."""
    log: list[str] = []
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
            log.append(line.strip())
            if STARTED in line:
                promtail.kill()
                alarm.cancel()
                return 0
        alarm.cancel()
    if any(PORT_TAKEN in line for line in log):
        return 0
    message = "\n".join(errors(log))
    print(message or f"Promtail neither started nor failed within {SECONDS} s.")
    return 1


def errors(log: list[str]) -> list[str]:
    """Return the lines about errors; all lines if there are none."""
    for index, line in enumerate(log):
        if line.startswith(NOT_PARSED):
            return log[index:]
    return [line for line in log if "level=error" in line] or log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
