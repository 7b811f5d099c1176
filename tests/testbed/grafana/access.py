# SPDX-License-Identifier: GPL-3.0-or-later
"""Health, metrics, organizations, users, service accounts and tokens."""

from __future__ import annotations

import base64
import secrets
import zlib
from typing import Any

from tests.testbed.grafana.store import Store, new_uid, now
from tests.testbed.grafana.web import Answer, Refused, Request, route

ADDRESS = {
    "address1": "",
    "address2": "",
    "city": "",
    "zipCode": "",
    "state": "",
    "country": "",
}
BUILD_INFO_HELP = (
    "# HELP grafana_build_info A metric with a constant '1' value labeled by version,"
    " revision and branch"
)


def first_start(store: Store, login: str, password: str, *, admin: bool = True) -> None:
    """Create the first organization and user unless the database has them."""
    with store.transaction():
        if store.get(0, "org", "1") is None:
            make_org(store, "Main Org.")
            if admin:
                make_user(store, login, password, {"1": "Admin"}, server_admin=True)


def make_org(store: Store, name: str) -> int:
    """Create an organization, in which every server admin is Admin."""
    number = store.next("org")
    store.put(0, "org", str(number), {"id": number, "name": name})
    for user in store.users("is_admin"):
        user["roles"][str(number)] = "Admin"
        store.put_user(user)
    return number


def make_user(
    store: Store,
    login: str,
    password: str,
    roles: dict[str, str],
    *,
    server_admin: bool = False,
) -> dict[str, Any]:
    """Create a user with a role in each organization."""
    salt = secrets.token_hex(5)
    user = {
        "uid": new_uid(),
        "login": login,
        "salt": salt,
        "password": store.hashed(password, salt),
        "roles": roles,
        "isGrafanaAdmin": server_admin,
        "created": now(),
    }
    store.put_user(user)
    return store.users("login = ?", login)[0]


def change_password(store: Store, login: str, password: str) -> None:
    """Change the password of a user."""
    user = store.users("login = ?", login)[0]
    store.put_user(user | {"password": store.hashed(password, user["salt"])})


def by_password(store: Store, login: str, password: str) -> dict[str, Any] | None:
    """Return the user if the password is right.

    An unknown user costs no hashing, as in Grafana.
    """
    user = next(iter(store.users("login = ?", login)), None)
    if user is None or not secrets.compare_digest(
        store.hashed(password, user["salt"]), user["password"]
    ):
        return None
    chosen = store.get(0, "current org", login) or {
        "org": int(min(user["roles"], key=int))
    }
    return user | {"orgId": chosen["org"]}


def by_token(store: Store, token: str) -> dict[str, Any]:
    """Return the service account of a token."""
    invalid = Refused(
        401, "Invalid API key", messageId="api-key.invalid", statusCode=401, traceID=""
    )
    parts = token.split("_")
    if (
        len(parts) != 3
        or parts[0] != "glsa"
        or f"{zlib.crc32(parts[1].encode()):08x}" != parts[2]
    ):
        raise invalid
    token = store.get(0, "token hash", store.hashed(parts[1], ""))
    if token is None:
        raise invalid
    account = store.get(token["org"], "serviceaccount", str(token["account"]))
    if account is None or account["isDisabled"]:
        raise invalid
    return {
        "login": account["login"],
        "id": account["id"],
        "orgId": token["org"],
        "bound": True,
        "held": account["role"],
    }


def role_in(store: Store, user: dict[str, Any], org: int) -> str:
    """Return the user's role in an organization."""
    role = user.get("held") or user.get("roles", {}).get(str(org), "")
    if not role:
        raise Refused(404, "Organization not found", traceID="")
    return role


@route("GET", "/api/health", "")
def health(request: Request) -> Any:
    server = request.server
    return {"database": "ok"} | (
        {} if server.hide_version else {"commit": "fake", "version": server.version}
    )


@route("GET", "/metrics", "")
def metrics(request: Request) -> Answer:
    server = request.server
    if server.metrics is None:
        raise Refused(404, "Not found")
    login = base64.b64encode(":".join(server.metrics).encode()).decode()
    if any(server.metrics) and request.headers.get("Authorization") != f"Basic {login}":
        raise Refused(401, "Unauthorized")
    labels = f'branch="fake",edition="oss",goversion="none",revision="",version="{server.version}"'
    lines = [
        BUILD_INFO_HELP,
        "# TYPE grafana_build_info gauge",
        f"grafana_build_info{{{labels}}} 1",
        "# HELP grafana_stat_totals_dashboard total amount of dashboards",
        "# TYPE grafana_stat_totals_dashboard gauge",
        f"grafana_stat_totals_dashboard {len(request.store.all(1, 'dashboard'))}",
        "# HELP grafana_http_requests_total requests, a metric of the fake",
        "# TYPE grafana_http_requests_total counter",
    ]
    counts: dict[tuple[str, int], int] = {}
    for line in server.requests:
        counts[line.method, line.status] = counts.get((line.method, line.status), 0) + 1
    lines += [
        f'grafana_http_requests_total{{method="{m}",status_code="{s}"}} {n}'
        for (m, s), n in counts.items()
    ]
    return Answer(
        200,
        "\n".join([*lines, ""]).encode(),
        {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


@route("GET", "/api/org")
def current_org(request: Request) -> Any:
    return {
        "id": request.org,
        "name": request.store.get(0, "org", str(request.org))["name"],
        "address": ADDRESS,
    }


@route("GET", "/api/orgs", "Server", "orgs:read")
def list_orgs(request: Request) -> Any:
    return [
        {"id": org["id"], "name": org["name"]} for org in request.store.all(0, "org")
    ]


@route("POST", "/api/orgs", "Server", "orgs:create")
def create_org(request: Request) -> Any:
    name = request.json().get("name", "")
    if any(org["name"] == name for org in request.store.all(0, "org")):
        raise Refused(409, "Organization name taken")
    return {"message": "Organization created", "orgId": make_org(request.store, name)}


@route("GET", "/api/user")
def current_user(request: Request) -> Any:
    user = request.user
    if user.get("bound"):
        raise Refused(
            404,
            "user not found",
            messageId="user.not-found",
            statusCode=404,
            traceID="",
        )
    return {
        "id": user["id"],
        "uid": user["uid"],
        "email": f"{user['login']}@localhost",
        "name": "",
        "login": user["login"],
        "theme": "",
        "orgId": request.org,
        "isGrafanaAdmin": user["isGrafanaAdmin"],
        "isDisabled": False,
        "isExternal": False,
        "isExternallySynced": False,
        "isGrafanaAdminExternallySynced": False,
        "authLabels": [],
        "updatedAt": user["created"],
        "createdAt": user["created"],
        "avatarUrl": "/avatar/fake",
        "isProvisioned": False,
    }


@route("GET", "/api/user/orgs")
def own_orgs(request: Request) -> Any:
    roles = request.user.get("roles", {})
    names = {str(org["id"]): org["name"] for org in request.store.all(0, "org")}
    return [
        {"orgId": int(org), "name": names[org], "role": role}
        for org, role in roles.items()
    ]


@route("POST", "/api/user/using/:org")
def use_org(request: Request) -> Any:
    """Change the user's organization, for every session of that login."""
    if request.params["org"] not in request.user.get("roles", {}):
        raise Refused(401, "Not a valid organization")
    request.store.put(
        0, "current org", request.user["login"], {"org": int(request.params["org"])}
    )
    return {"message": "Active organization changed"}


@route("GET", "/api/orgs/name/:name", "Server", "orgs:read")
@route("GET", "/api/orgs/:id", "Server", "orgs:read")
def read_org(request: Request) -> Any:
    for org in request.store.all(0, "org"):
        if all(str(org[key]) == value for key, value in request.params.items()):
            return {"id": org["id"], "name": org["name"], "address": ADDRESS}
    raise Refused(404, "Organization not found")


@route("PUT", "/api/user/password")
def change_own_password(request: Request) -> Any:
    body = request.json()
    if (
        by_password(request.store, request.user["login"], body.get("oldPassword", ""))
        is None
    ):
        raise Refused(401, "Invalid old password")
    return set_password(request, request.user["login"], body.get("newPassword", ""))


@route("PUT", "/api/admin/users/:id/password", "Server", "users.password:write")
def change_other_password(request: Request) -> Any:
    users = request.store.users("id = ?", request.params["id"])
    if not users:
        raise Refused(404, "user not found")
    return set_password(request, users[0]["login"], request.json().get("password", ""))


def set_password(request: Request, login: str, password: str) -> Any:
    """Set a password of sufficient length."""
    if len(password) < 4:
        raise Refused(400, "New password is too short")
    change_password(request.store, login, password)
    return {
        "message": "User password updated"
        if request.path.startswith("/api/admin")
        else "User password changed"
    }


@route("POST", "/api/admin/users", "Server", "users:create")
def create_user(request: Request) -> Any:
    body = request.json()
    if request.store.users("login = ?", body.get("login", "")):
        raise Refused(412, "User with email or username already exists")
    user = make_user(
        request.store,
        body["login"],
        body["password"],
        {str(body.get("OrgId") or 1): "Viewer"},
    )
    return {"id": user["id"], "uid": user["uid"], "message": "User created"}


@route("GET", "/api/admin/settings", "Server", "settings:read")
def settings(_request: Request) -> Any:
    return {"DEFAULT": {"app_mode": "production"}, "database": {"type": "sqlite3"}}


@route("GET", "/api/frontend/settings")
def frontend_settings(request: Request) -> Any:
    return {
        "buildInfo": {
            "version": request.server.version,
            "edition": "Open Source",
            "hideVersion": False,
        },
        "appSubUrl": "",
        "namespace": "default" if request.org == 1 else f"org-{request.org}",
    }


def account_shown(request: Request, account: dict[str, Any]) -> dict[str, Any]:
    """Return a service account in the API's form."""
    tokens = [
        token
        for token in request.store.all(request.org, "token")
        if token["account"] == account["id"]
    ]
    return {
        "id": account["id"],
        "uid": account["uid"],
        "name": account["name"],
        "login": account["login"],
        "orgId": request.org,
        "isDisabled": account["isDisabled"],
        "isExternal": False,
        "role": account["role"],
        "tokens": len(tokens),
        "avatarUrl": "/avatar/fake",
        "accessControl": {},
    }


def account_of(request: Request) -> dict[str, Any]:
    """Return the service account of the path."""
    account = request.store.get(request.org, "serviceaccount", request.params["id"])
    if account is None:
        raise Refused(
            404,
            "service account not found",
            messageId="serviceaccounts.ErrNotFound",
            statusCode=404,
        )
    return account


@route("GET", "/api/serviceaccounts/search", "Admin", "serviceaccounts:read")
def search_accounts(request: Request) -> Any:
    words = request.query.get("query", "").lower()
    accounts = [
        account
        for account in request.store.all(request.org, "serviceaccount")
        if words in account["name"].lower()
    ]
    page, size = (
        int(request.query.get("page", 1)),
        int(request.query.get("perpage", 1000)),
    )
    shown = [
        account_shown(request, account)
        for account in accounts[(page - 1) * size : page * size]
    ]
    return {
        "totalCount": len(accounts),
        "serviceAccounts": shown,
        "page": page,
        "perPage": size,
    }


@route("POST", "/api/serviceaccounts", "Admin", "serviceaccounts:create")
def create_account(request: Request) -> Any:
    body = request.json()
    if not body.get("name"):
        raise Refused(400, "Bad request data")
    login = f"sa-{request.org}-{body['name'].lower().replace(' ', '-')}"
    if any(
        account["login"] == login
        for account in request.store.all(request.org, "serviceaccount")
    ):
        raise Refused(
            400,
            "service account already exists",
            messageId="serviceaccounts.ErrAlreadyExists",
        )
    role = body.get("role") or "Viewer"
    if role not in ("Viewer", "Editor", "Admin", "None"):
        raise Refused(400, "invalid role specified")
    account = {
        "id": request.store.next("serviceaccount"),
        "uid": new_uid(),
        "name": body["name"],
        "login": login,
        "role": role,
        "isDisabled": bool(body.get("isDisabled")),
    }
    request.store.put(request.org, "serviceaccount", str(account["id"]), account)
    return Answer(201, account_shown(request, account))


@route("GET", "/api/serviceaccounts/:id", "Admin", "serviceaccounts:read")
def read_account(request: Request) -> Any:
    account = account_of(request)
    return account_shown(request, account) | {
        "createdAt": now(),
        "updatedAt": now(),
        "teams": [],
    }


@route("PATCH", "/api/serviceaccounts/:id", "Admin", "serviceaccounts:write")
def change_account(request: Request) -> Any:
    account, body = account_of(request), request.json()
    account |= {
        key: body[key]
        for key in ("name", "role", "isDisabled")
        if body.get(key) is not None
    }
    request.store.put(request.org, "serviceaccount", request.params["id"], account)
    shown = account_shown(request, account) | {
        "createdAt": now(),
        "updatedAt": now(),
        "teams": [],
    }
    return {
        "id": account["id"],
        "message": "Service account updated",
        "name": account["name"],
        "serviceaccount": shown,
    }


@route("DELETE", "/api/serviceaccounts/:id", "Admin", "serviceaccounts:delete")
def delete_account(request: Request) -> Any:
    account = account_of(request)
    for token in request.store.all(request.org, "token"):
        if token["account"] == account["id"]:
            drop_token(request, token)
    request.store.delete(request.org, "serviceaccount", request.params["id"])
    return {"message": "Service account deleted"}


@route("GET", "/api/serviceaccounts/:id/tokens", "Admin", "serviceaccounts:read")
def list_tokens(request: Request) -> Any:
    account = account_of(request)
    return [
        {
            "id": token["id"],
            "name": token["name"],
            "created": token["created"],
            "lastUsedAt": None,
            "expiration": None,
            "secondsUntilExpiration": 0,
            "hasExpired": False,
            "isRevoked": False,
        }
        for token in request.store.all(request.org, "token")
        if token["account"] == account["id"]
    ]


@route("POST", "/api/serviceaccounts/:id/tokens", "Admin", "serviceaccounts:write")
def create_token(request: Request) -> Any:
    account, body = account_of(request), request.json()
    if any(
        t["name"] == body.get("name")
        for t in request.store.all(request.org, "token")
        if t["account"] == account["id"]
    ):
        raise Refused(
            409,
            "service account token with given name already exists in the organization",
        )
    secret = secrets.token_hex(16)
    token = {
        "id": request.store.next("token"),
        "name": body.get("name") or "",
        "account": account["id"],
        "created": now(),
        "hash": request.store.hashed(secret, ""),
    }
    request.store.put(request.org, "token", str(token["id"]), token)
    request.store.put(
        0, "token hash", token["hash"], {"org": request.org, "account": account["id"]}
    )
    key = f"glsa_{secret}_{zlib.crc32(secret.encode()):08x}"
    return {"id": token["id"], "name": token["name"], "key": key}


@route(
    "DELETE", "/api/serviceaccounts/:id/tokens/:token", "Admin", "serviceaccounts:write"
)
def delete_token(request: Request) -> Any:
    account_of(request)
    token = request.store.get(request.org, "token", request.params["token"])
    if token is None:
        raise Refused(404, "service account token not found")
    drop_token(request, token)
    return {"message": "Service account token deleted"}


def drop_token(request: Request, token: dict[str, Any]) -> None:
    """Delete a token."""
    request.store.delete(request.org, "token", str(token["id"]))
    request.store.delete(0, "token hash", token["hash"])


@route("GET", "/", "")
def home(_request: Request) -> Answer:
    body = b"<!DOCTYPE html><html><head><title>Grafana (fake)</title></head></html>\n"
    return Answer(200, body, {"Content-Type": "text/html; charset=UTF-8"})


@route("GET", "/login", "")
def login_page(request: Request) -> Answer:
    return home(request)
