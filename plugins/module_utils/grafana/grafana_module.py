# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place where the modules for Grafana begin and end."""

from __future__ import annotations

import ssl
from http.client import HTTPException
from typing import Any, Callable
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from ..unlogged_module import QuietModule
from .api.client import BUSY, Client
from .grafana_errors import GrafanaError
from .kinds.registry import REGISTRY
from .model import ABSENT, PRESENT, DesiredObject
from .sync.reconcile import Options, reconcile

# Options that all modules share; the fragment hippius.monitoring.grafana documents them.
CONNECTION = {
    "grafana_url": {"type": "str", "default": "http://127.0.0.1:3000"},
    "username": {"type": "str", "default": "admin"},
    "password": {"type": "str", "no_log": True},
    "token": {"type": "str", "no_log": True},
    "org_id": {"type": "int", "default": 0},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path", "default": ""},
    "client_cert": {"type": "path", "default": ""},
    "client_key": {"type": "path", "default": "", "no_log": False},
    "timeout": {"type": "int", "default": 60},
    "concurrency": {"type": "int", "default": 4},
}
STATE = {"state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT}}
# Options of objects that Grafana keeps the provenance of.
STAMPED = {
    "editable": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
}
ONE_LOGIN = {
    "required_one_of": [("password", "token")],
    "mutually_exclusive": [("password", "token")],
}
# Seconds for which a busy Grafana is waited for, and in check mode, which is asked by people.
PATIENCE, PATIENCE_OF_PLANS = 60, 10


def connect(params: dict, check: bool = False) -> Client:
    """A client for the options of CONNECTION; nothing is sent yet."""
    return Client(
        params["grafana_url"],
        username=params["username"],
        password=params["password"] or "",
        token=params["token"] or "",
        org_id=params["org_id"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        client_cert=params["client_cert"],
        client_key=params["client_key"],
        timeout=params["timeout"],
        concurrency=params["concurrency"],
        patience=PATIENCE_OF_PLANS if check else PATIENCE,
    )


def unready(url: str) -> str:
    """Why there is no Grafana yet to compare with, by one request without a login; nothing where there is one."""
    # What is wrong with a certificate is told by whoever logs in.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        build_opener(ProxyHandler({}), HTTPSHandler(context=unverified)).open(
            f"{url.rstrip('/')}/api/health", timeout=PATIENCE_OF_PLANS
        ).close()
    except HTTPError as error:
        error.close()
        return f"{url} answers {error.code}" if error.code in BUSY else ""
    except OSError as error:
        reason = getattr(error, "reason", error)
        is_there = not isinstance(reason, OSError) or isinstance(reason, ssl.SSLError)
        return "" if is_there else f"Nothing answers at {url} yet"
    except (HTTPException, ValueError):
        # What is wrong with the address, too.
        return ""
    return ""


def unplanned(module: Any, changed: bool) -> dict:
    """What a module returns in check mode where there is no Grafana yet, before whose rollout this is no error."""
    reason = unready(module.params["grafana_url"]) if module.check_mode else ""
    if not reason:
        return {}
    warning = f"{reason}, so what is there could not be compared."
    return {"changed": changed, "changes": [], "counts": {}, "diff": [], "warnings": [warning]}


def finish(module: Any, act: Callable[[], dict]) -> None:
    """Run ``act``, and exit with its values or with one clear error."""
    try:
        values = act()
    except GrafanaError as error:
        done = error.result.values() if error.result else {"changed": False}
        module.fail_json(msg=str(error), **done)
    for warning in values.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**values)


def converge(module: Any, desired: list, options: Options) -> None:
    """Make Grafana have what is wanted, and exit."""
    hide(module, desired)

    def act() -> dict:
        unknown = unplanned(module, any(one.state == PRESENT for one in desired))
        if unknown:
            return unknown
        result = reconcile(connect(module.params, module.check_mode), desired, options)
        return {**result.values(), "warnings": result.warnings}

    finish(module, act)


def hide(module: Any, desired: list) -> None:
    """Let Ansible mask the secrets in whatever the module returns, its own parameters included."""
    for one in desired:
        if one.state == PRESENT:
            module.no_log_values |= {
                text for text in REGISTRY[one.kind].secrets(one.body) if len(text) > 2
            }


def run(kind: str, spec: dict, object_of: Callable[[dict], tuple], **rules: Any) -> None:
    """A module for one object; ``object_of`` makes its identity and body of the parameters."""
    stamped = STAMPED if REGISTRY[kind].stamped else {}
    module = QuietModule(
        argument_spec={**CONNECTION, **STATE, **stamped, **spec},
        supports_check_mode=True,
        **{**ONE_LOGIN, **rules},
    )
    params = module.params
    identity, body = object_of(params)
    options = Options(
        check=module.check_mode,
        editable=params.get("editable", False),
        adopt=params.get("adopt", False),
        fingerprint_key=params.get("fingerprint_key") or "",
        exact_json_data=params.get("exact", False),
    )
    converge(module, [DesiredObject(kind, identity, body, "inline", params["state"])], options)
