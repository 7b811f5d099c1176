# SPDX-License-Identifier: GPL-3.0-or-later
"""Use grafana-client as its users do: `use_library.py URL` prints the results as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError

RULE = {
    "uid": "r1",
    "title": "Rule",
    "ruleGroup": "g",
    "folderUID": "f",
    "orgID": 1,
    "condition": "A",
    "noDataState": "NoData",
    "execErrState": "Error",
    "for": "5m",
    "data": [
        {
            "refId": "A",
            "datasourceUid": "p",
            "relativeTimeRange": {"from": 600, "to": 0},
            "model": {"expr": "up"},
        },
    ],
}
POINT = {
    "uid": "c",
    "name": "discord",
    "type": "discord",
    "settings": {"url": "http://127.0.0.1/x"},
}
SOURCE = {
    "name": "P",
    "uid": "p",
    "type": "prometheus",
    "access": "proxy",
    "url": "http://127.0.0.1:9",
}
DASHBOARD = {
    "dashboard": {"uid": "d", "title": "D", "panels": []},
    "folderUid": "f",
    "overwrite": True,
}


def use(grafana: GrafanaApi) -> dict[str, Any]:
    """Create, read, change and remove one object of each kind."""
    results: dict[str, Any] = {
        "org": grafana.organization.get_current_organization()["name"]
    }
    results["edition"] = grafana.connect()["edition"]
    grafana.datasource.create_datasource(SOURCE)
    grafana.datasource.update_datasource_by_uid(
        "p", SOURCE | {"jsonData": {"httpMethod": "POST"}}
    )
    results["datasource"] = grafana.datasource.get_datasource_by_uid("p")["jsonData"]
    results["datasources"] = len(grafana.datasource.list_datasources())
    grafana.folder.create_folder("F", "f")
    grafana.folder.update_folder("f", "F2", overwrite=True)
    results["folder"] = grafana.folder.get_folder("f")["title"]
    grafana.dashboard.update_dashboard(DASHBOARD)
    results["dashboard"] = grafana.dashboard.get_dashboard("d")["meta"]["folderUid"]
    results["search"] = [
        hit["uid"]
        for hit in grafana.search.search_dashboards(query="D", type_="dash-db")
    ]
    points = grafana.alertingprovisioning
    points.create_contactpoint(POINT)
    points.update_contactpoint("c", POINT | {"disableResolveMessage": True})
    results["contact points"] = [point["uid"] for point in points.get_contactpoints()]
    points.set_notification_policy_tree({"receiver": "discord"})
    results["policy"] = points.get_notification_policy_tree()["receiver"]
    points.create_alertrule(RULE)
    points.update_alertrule("r1", RULE | {"title": "Changed"})
    results["rule"] = points.get_alertrule("r1")["title"]
    points.delete_alertrule("r1")
    results["rules"] = points.get_alertrules_all()
    grafana.dashboard.delete_dashboard("d")
    grafana.folder.delete_folder("f")
    grafana.datasource.delete_datasource_by_uid("p")
    try:
        grafana.folder.get_folder("f")
    except GrafanaClientError as error:
        results["missing"] = error.status_code
    return results


if __name__ == "__main__":
    print(json.dumps(use(GrafanaApi.from_url(sys.argv[1]))))
