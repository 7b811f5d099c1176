# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, start and exit that all modules for Grafana share."""

from __future__ import annotations

import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from ..unlogged_module import QuietModule
from .api.client import BUSY, Client
from .grafana_errors import GrafanaError
from .kinds.registry import REGISTRY
from .model import ABSENT, PRESENT, DesiredObject
from .sync.reconcile import Options, reconcile, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .model import Body

# The fragment hippius.monitoring.grafana documents these options.
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
# Options of objects whose provenance Grafana records.
PROVENANCE = {
    "editable": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
}
ONE_LOGIN = {
    "required_one_of": [("password", "token")],
    "mutually_exclusive": [("password", "token")],
}
# Seconds of retries while Grafana is busy; less in check mode, for which a user waits.
PATIENCE, PATIENCE_OF_PLANS = 60, 10


def connect(params: dict[str, Any], check: bool = False) -> Client:
    """Return a client for the options of CONNECTION; nothing is sent yet."""
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


def unready(url: str) -> str | None:
    """Return why no Grafana is at the address yet, None if one is; sends one anonymous request."""
    # The login reports what is wrong with a certificate.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=unverified))
    try:
        opener.open(f"{url.rstrip('/')}/api/health", timeout=PATIENCE_OF_PLANS).close()
    except HTTPError as error:
        error.close()
        return f"{url} answers {error.code}" if error.code in BUSY else None
    except OSError as error:
        reason = getattr(error, "reason", error)
        is_there = not isinstance(reason, OSError) or isinstance(reason, ssl.SSLError)
        return None if is_there else f"Nothing answers at {url} yet"
    except (HTTPException, ValueError):
        # The login reports what is wrong with the address, too.
        return None
    return None


def unplanned(module: Any, changed: bool) -> dict[str, Any] | None:
    """Return the values of a module in check mode if there is no Grafana yet, else None.

    Before the rollout of Grafana this is no error.
    """
    reason = unready(module.params["grafana_url"]) if module.check_mode else None
    if reason is None:
        return None
    warning = f"{reason}, so existing objects could not be compared."
    return {
        "changed": changed,
        "changes": [],
        "counts": {},
        "diff": [],
        "warnings": [warning],
    }


def finish(module: Any, act: Callable[[], dict[str, Any]]) -> None:
    """Run ``act``, and exit with its values or with one clear error."""
    try:
        values = act()
    except GrafanaError as error:
        done = error.result.values() if error.result else {"changed": False}
        module.fail_json(msg=str(error), **done)
    for warning in values.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**values)


def converge(module: Any, desired: Sequence[DesiredObject], options: Options) -> None:
    """Bring Grafana to the desired state, and exit."""
    hide_secrets(module, desired)

    def act() -> dict[str, Any]:
        values = unplanned(module, any(item.state == PRESENT for item in desired))
        if values is not None:
            return values
        result = reconcile(connect(module.params, module.check_mode), desired, options)
        return {**result.values(), "warnings": result.warnings}

    finish(module, act)


def hide_secrets(module: Any, desired: Sequence[DesiredObject]) -> None:
    """Let Ansible mask the secrets in all that the module returns, its parameters included."""
    module.no_log_values |= secrets_of(desired)


def run(
    kind: str,
    spec: dict[str, Any],
    object_of: Callable[[dict[str, Any]], tuple[str, Body]],
    **rules: Any,
) -> None:
    """Run a module for one object; ``object_of`` returns identity and body from the parameters."""
    provenance = PROVENANCE if REGISTRY[kind].has_provenance else {}
    module = QuietModule(
        argument_spec={**CONNECTION, **STATE, **provenance, **spec},
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
    converge(
        module,
        [DesiredObject(kind, identity, body, "inline", params["state"])],
        options,
    )
