# SPDX-License-Identifier: GPL-3.0-or-later
"""Datasources, and queries through them to the real Prometheus, Loki and Tempo."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from tests.testbed.grafana.store import new_uid
from tests.testbed.grafana.web import BAD_JSON, Answer, Refused, Request, route

WRITE = {"role": "Admin", "needs": "datasources:write"}
TYPES = {"postgres": "grafana-postgresql-datasource"}
# Fields that a write resets if they are left out.
FIELDS = {
    "url": "",
    "user": "",
    "database": "",
    "basicAuth": False,
    "basicAuthUser": "",
    "withCredentials": False,
}
# An update never empties these: Grafana's store skips empty strings, and writes only three other
# columns regardless.
NEVER_EMPTIED = ("url", "basicAuthUser")
# Fields that the list lacks.
NOT_IN_LIST = ("basicAuthUser", "withCredentials", "secureJsonFields", "version")
# Types that require an address in an update, but not when they are created.
WITH_URL = (
    "graphite",
    "influxdb",
    "influxdb_08",
    "elasticsearch",
    "prometheus",
    "alertmanager",
    "jaeger",
    "loki",
)
WITH_URL += (
    "opentsdb",
    "tempo",
    "zipkin",
    "mysql",
    "postgres",
    "grafana-postgresql-datasource",
    "mssql",
)
HEALTH = {
    "prometheus": "/api/v1/query?query=1%2B1",
    "loki": "/loki/api/v1/labels",
    "tempo": "/api/echo",
}
CONFLICT = (
    "Datasource has already been updated by someone else. Please reload and try again"
)
MISSING = "Data source not found"
FORWARD_TIMEOUT = 30


def shown(source: dict[str, Any]) -> dict[str, Any]:
    """Return a datasource in the API's form."""
    visible = {key: value for key, value in source.items() if key != "secure"}
    return visible | {
        "typeLogoUrl": "",
        "secureJsonFields": dict.fromkeys(source["secure"], True),
    }


def find(request: Request) -> dict[str, Any]:
    """Return the datasource of the path, by uid, name or number."""
    for key in ("uid", "name", "id"):
        if key in request.params:
            for source in request.store.all(request.org, "datasource"):
                if str(source[key]) == request.params[key]:
                    return source
    raise Refused(404, MISSING)


@route("GET", "/api/datasources", needs="datasources:read")
def list_all(request: Request) -> Any:
    sources = sorted(
        request.store.all(request.org, "datasource"),
        key=lambda source: source["name"].lower(),
    )
    names = {"prometheus": "Prometheus", "loki": "Loki", "tempo": "Tempo"}
    lines = []
    for source in sources:
        line = {
            key: value for key, value in shown(source).items() if key not in NOT_IN_LIST
        }
        lines.append(line | {"typeName": names.get(source["type"], source["type"])})
    return lines


@route("GET", "/api/datasources/uid/:uid", needs="datasources:read")
@route("GET", "/api/datasources/name/:name", needs="datasources:read")
def read(request: Request) -> Any:
    return shown(find(request))


@route("GET", "/api/datasources/id/:name", needs="datasources:read")
def read_number(request: Request) -> Any:
    legacy(request)
    return {"id": find(request)["id"]}


@route("GET", "/api/datasources/:id", needs="datasources:read")
@route("PUT", "/api/datasources/:id", **WRITE)
@route("DELETE", "/api/datasources/:id", **WRITE)
def by_number(request: Request) -> Any:
    """Look for a number, for which 13 answers 404 unless a toggle is on."""
    legacy(request)
    if not request.params["id"].isdigit():
        raise Refused(400, "id is invalid")
    return {"GET": read, "PUT": update, "DELETE": delete}[request.method](request)


def legacy(request: Request) -> None:
    """Reject a path with a number if numbers are disabled."""
    if not request.server.legacy_ids:
        raise Refused(404, "Not found")


def checked(body: dict[str, Any], *, updating: bool) -> dict[str, Any]:
    """Return the fields of a body, which requires name, type, access and a valid URL."""
    for key in ("name", "type", "access"):
        if not isinstance(body.get(key), str) or not body[key]:
            raise Refused(400, BAD_JSON)
    kinds = {
        "url": str,
        "user": str,
        "database": str,
        "basicAuth": bool,
        "isDefault": bool,
        "version": int,
    }
    kinds |= {
        "jsonData": dict,
        "secureJsonData": dict,
        "uid": str,
        "basicAuthUser": str,
        "withCredentials": bool,
    }
    for key, kind in kinds.items():
        if body.get(key) is not None and not isinstance(body[key], kind):
            raise Refused(400, BAD_JSON)
    if not all(
        isinstance(value, str) for value in (body.get("secureJsonData") or {}).values()
    ):
        raise Refused(400, BAD_JSON)
    url = body.get("url") or ""
    if re.search(r"\s", url) or (updating and not url and body["type"] in WITH_URL):
        raise Refused(400, f"Validation error, invalid URL: {json.dumps(url)}")
    # Neither length nor characters of a uid are validated.
    fields = {key: body.get(key) or default for key, default in FIELDS.items()}
    kind = TYPES.get(body["type"], body["type"])
    return fields | {
        "name": body["name"],
        "type": kind,
        "access": body["access"],
        "isDefault": bool(body.get("isDefault")),
        "jsonData": body.get("jsonData") or {},
    }


@route("POST", "/api/datasources", role="Admin", needs="datasources:create")
def create(request: Request) -> Any:
    body = request.json()
    fields = checked(body, updating=False)
    uid = body.get("uid") or new_uid()
    others = request.store.all(request.org, "datasource")
    if any(other["name"] == fields["name"] for other in others):
        raise Refused(409, "data source with the same name already exists", traceID="")
    if any(other["uid"] == uid for other in others):
        raise Refused(409, "data source with the same uid already exists", traceID="")
    head = {"id": request.store.next("datasource"), "uid": uid, "orgId": request.org}
    # The first one is the default, whatever the request.
    first = {"isDefault": fields["isDefault"] or not others}
    source = head | fields | first | {"secure": {}, "version": 1, "readOnly": False}
    return store(request, source, body) | {"message": "Datasource added"}


@route("PUT", "/api/datasources/uid/:uid", **WRITE)
def update(request: Request) -> Any:
    """Update a datasource.

    A lower version than the stored one is a conflict, a missing one restarts the count, and secrets
    that are left out remain.
    """
    body = request.json()
    fields = checked(body, updating=True)
    source = find(request)
    if source["readOnly"]:
        raise Refused(403, "Cannot update read-only data source")
    version = body.get("version") or 0
    if version and version < source["version"]:
        raise Refused(409, CONFLICT, traceID="")
    others = [
        other
        for other in request.store.all(request.org, "datasource")
        if other["id"] != source["id"]
    ]
    if any(other["name"] == fields["name"] for other in others):
        message = (
            "Failed to update datasource: data source with the same name already exists"
        )
        raise Refused(409, message, traceID="")
    uid = body.get("uid") or source["uid"]
    if uid != source["uid"]:
        if any(other["uid"] == uid for other in others):
            raise Refused(500, "Failed to update datasource", traceID="")
        request.store.delete(request.org, "datasource", source["uid"])
    kept = {key: source[key] for key in NEVER_EMPTIED if not fields[key]}
    source |= fields | kept | {"uid": uid, "version": version + 1}
    return store(request, source, body) | {"message": "Datasource updated"}


def store(
    request: Request, source: dict[str, Any], body: dict[str, Any]
) -> dict[str, Any]:
    """Store a datasource with its secrets, clear the previous default, and answer."""
    for name, secret in (body.get("secureJsonData") or {}).items():
        if secret:
            source["secure"][name] = request.store.encrypt(secret)
        else:
            source["secure"].pop(name, None)
    request.store.put(request.org, "datasource", source["uid"], source)
    if source["isDefault"]:
        for other in request.store.all(request.org, "datasource"):
            if other["isDefault"] and other["id"] != source["id"]:
                request.store.put(
                    request.org,
                    "datasource",
                    other["uid"],
                    other | {"isDefault": False},
                )
    return {"datasource": shown(source), "id": source["id"], "name": source["name"]}


@route("DELETE", "/api/datasources/uid/:uid", role="Admin", needs="datasources:delete")
@route(
    "DELETE", "/api/datasources/name/:name", role="Admin", needs="datasources:delete"
)
def delete(request: Request) -> Any:
    source = find(request)
    if source["readOnly"]:
        raise Refused(403, "Cannot delete read-only data source")
    request.store.delete(request.org, "datasource", source["uid"])
    return {"id": source["id"], "message": "Data source deleted"}


@route(
    "GET", "/api/datasources/uid/:uid/health", needs="datasources:query", family="proxy"
)
def health(request: Request) -> Any:
    source = find(request)
    if source["type"] not in HEALTH:
        raise Refused(
            404, "Not found", messageId="plugin.unavailable", statusCode=404, traceID=""
        )
    answer = forward(request, source, "GET", HEALTH[source["type"]], b"")
    if answer.status == 200:
        return Answer(200, {"message": "Successfully queried the API.", "status": "OK"})
    message = f"{answer.status}: {answer.body[:200].decode(errors='replace')}"
    return Answer(400, {"message": message, "status": "ERROR"})


@route(
    "*",
    "/api/datasources/proxy/uid/:uid/*path",
    needs="datasources:query",
    family="proxy",
)
def proxy(request: Request) -> Any:
    path, _mark, parameters = (
        request.target.partition("/uid/")[2].partition("/")[2].partition("?")
    )
    return forward(
        request,
        find(request),
        request.method,
        f"/{path}{_mark}{parameters}",
        request.raw,
    )


def forward(
    request: Request, source: dict[str, Any], method: str, path: str, body: bytes
) -> Answer:
    """Forward a request to the server of a datasource, with the stored credentials."""
    headers = (
        {"Content-Type": request.headers["Content-Type"]}
        if request.headers.get("Content-Type")
        else {}
    )
    secure = {
        name: request.store.decrypt(secret) for name, secret in source["secure"].items()
    }
    if source["basicAuth"]:
        login = f"{source['basicAuthUser']}:{secure.get('basicAuthPassword', '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    for key, name in source["jsonData"].items():
        if key.startswith("httpHeaderName"):
            headers[name] = secure.get(key.replace("Name", "Value"), "")
    url = source["url"].rstrip("/") + path
    outgoing = urllib.request.Request(url, body or None, headers, method=method)
    try:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=tls_context(source, secure)),
        )
        with opener.open(outgoing, timeout=FORWARD_TIMEOUT) as got:
            return Answer(
                got.status,
                got.read(),
                {"Content-Type": got.headers.get("Content-Type") or "text/plain"},
            )
    except urllib.error.HTTPError as error:
        with error:
            return Answer(
                error.code,
                error.read(),
                {"Content-Type": error.headers.get("Content-Type") or "text/plain"},
            )
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(502, f"{getattr(error, 'reason', error)}".encode())


def tls_context(source: dict[str, Any], secure: dict[str, str]) -> ssl.SSLContext:
    """Return the authority and the certificate of a datasource, as its settings choose them."""
    settings = source["jsonData"]
    authority = secure.get("tlsCACert") if settings.get("tlsAuthWithCACert") else None
    context = ssl.create_default_context(cadata=authority)
    if settings.get("tlsAuth"):
        # The library reads files only.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{secure['tlsClientKey']}\n{secure['tlsClientCert']}\n")
            file.flush()
            context.load_cert_chain(file.name)
    return context


@route("POST", "/api/ds/query", needs="datasources:query", family="proxy")
def query(request: Request) -> Any:
    """Answer queries of Prometheus and Loki as frames.

    The numbers are right; the frames have less metadata than Grafana's.
    """
    results: dict[str, Any] = {}
    for target in request.json().get("queries") or []:
        request.params = {"uid": (target.get("datasource") or {}).get("uid") or ""}
        results[target.get("refId", "A")] = frames(request, find(request), target)
    failed = any("error" in result for result in results.values())
    return Answer(400 if failed else 200, {"results": results})


def frames(
    request: Request, source: dict[str, Any], target: dict[str, Any]
) -> dict[str, Any]:
    """Return the frames of one instant query."""
    paths = {"prometheus": "/api/v1/query", "loki": "/loki/api/v1/query"}
    if source["type"] not in paths:
        return {
            "status": 400,
            "error": f"this fake does not query {source['type']}",
            "frames": [],
        }
    path = f"{paths[source['type']]}?{urllib.parse.urlencode({'query': target.get('expr', '')})}"
    answer = forward(request, source, "GET", path, b"")
    if answer.status != 200:
        return {
            "status": answer.status,
            "error": answer.body.decode(errors="replace"),
            "frames": [],
        }
    data = json.loads(answer.body)["data"]
    series = data["result"] if data["resultType"] == "vector" else []
    if data["resultType"] == "scalar":
        series = [{"metric": {}, "value": data["result"]}]
    return {
        "status": 200,
        "frames": [
            frame(target, result["metric"], result["value"]) for result in series
        ],
    }


def frame(
    target: dict[str, Any], labels: dict[str, str], value: list[Any]
) -> dict[str, Any]:
    """Return a frame of one series with one value."""
    fields = [
        {"name": "Time", "type": "time"},
        {"name": "Value", "type": "number", "labels": labels},
    ]
    return {
        "schema": {"refId": target.get("refId", "A"), "fields": fields},
        "data": {"values": [[int(float(value[0]) * 1000)], [float(value[1])]]},
    }
