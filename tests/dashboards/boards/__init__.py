# SPDX-License-Identifier: GPL-3.0-or-later
"""The descriptions of all dashboards."""

from tests.dashboards.boards.application import APPLICATION, WORKER
from tests.dashboards.boards.databases import POSTGRES, REDIS
from tests.dashboards.boards.host import HOST
from tests.dashboards.boards.logs import CONTAINERS, LOKI, PROMTAIL
from tests.dashboards.boards.slo import SLO
from tests.dashboards.boards.stack import ALERTMANAGER, GRAFANA, PROMETHEUS, STACK
from tests.dashboards.boards.traces import COLLECTOR, TEMPO

BOARDS = (
    STACK,
    APPLICATION,
    WORKER,
    SLO,
    HOST,
    CONTAINERS,
    REDIS,
    POSTGRES,
    COLLECTOR,
    PROMETHEUS,
    LOKI,
    PROMTAIL,
    TEMPO,
    ALERTMANAGER,
    GRAFANA,
)
