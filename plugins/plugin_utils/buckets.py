# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The object store that keeps the data of stores, as users describe it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from . import catalog, environment, transport
from .catalog import CatalogError, Component, Inventory

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE = "monitoring_object_store"
# Components whose data may be in a bucket.
USERS = ("loki", "tempo")
REQUIRED = ("endpoint", "access_key", "secret_key", "buckets")
OPTIONAL = ("region", "ca")
DEFAULT_REGION = "us-east-1"
SCHEMES = {"http": ":80", "https": ":443"}
# The names that S3 allows.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PEM = "-----BEGIN CERTIFICATE-----"


class ObjectStoreError(ValueError):
    """The variable has a value that cannot be used; the message quotes no secret."""


class ObjectStore(TypedDict):
    """The store of one component: ``endpoint`` is host:port, ``ca`` empty or PEM."""

    endpoint: str
    insecure: bool
    region: str
    bucket: str
    ca: str
    environment: dict[str, str]


def store_of(value: Any, component: str) -> ObjectStore | None:
    """Return the object store of a component, None if its data is on disk.

    Raise ObjectStoreError for a value that cannot be used.
    """
    if not value:
        return None
    problem = next(iter(_problems(value)), "")
    if problem:
        raise ObjectStoreError(problem)
    bucket = value["buckets"].get(component)
    if not bucket:
        return None
    scheme, address = _parse(value["endpoint"])
    # The names by which every S3 client finds them; the keys are in no configuration file.
    keys = {
        "AWS_ACCESS_KEY_ID": str(value["access_key"]),
        "AWS_SECRET_ACCESS_KEY": str(value["secret_key"]),
    }
    return ObjectStore(
        endpoint=address,
        insecure=scheme == "http",
        region=str(value.get("region") or DEFAULT_REGION),
        bucket=str(bucket),
        ca=str(value.get("ca") or ""),
        environment=keys,
    )


def blockers(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: Iterable[str],
) -> list[str]:
    """Return a blocker for each host whose object store cannot be used."""
    users = [component for component in components if component.name in USERS]
    messages: list[str] = []
    for host in hosts:
        present = [user for user in users if host in inventory.hosts(user)]
        value = inventory.variable(host, VARIABLE)
        if present and value:
            subject = f"{VARIABLE} of {host}"
            problems = _problems(value) or _plain_text(value, host, inventory)
            messages += [f"{subject}: {problem}." for problem in problems]
    return messages


def _problems(value: Any) -> list[str]:
    """Return what is wrong with a value, without quoting a secret."""
    if not isinstance(value, dict):
        return ["must be a dict; correct it"]
    known = (*REQUIRED, *OPTIONAL)
    problems = [
        f"{key} is unknown; use {', '.join(known)}" for key in value if key not in known
    ]
    problems += [f"{key} is missing; set it" for key in REQUIRED if not value.get(key)]
    problems += [
        f"{key} must be a str; correct it"
        for key in known
        if key != "buckets" and not isinstance(value.get(key, ""), str)
    ]
    return problems or _field_problems(value)


def _field_problems(value: dict[str, Any]) -> list[str]:
    """Return what is wrong with fields that have the right types."""
    problems = []
    try:
        _parse(value["endpoint"])
    except CatalogError as error:
        problems.append(str(error))
    for key in ("access_key", "secret_key"):
        problem = environment.problem(key, value[key])
        if problem:
            problems.append(f"{key}: {problem}; correct it")
    if value.get("ca") and PEM not in value["ca"]:
        problems.append("ca is no certificate; write it as PEM")
    return problems + _bucket_problems(value["buckets"])


def _bucket_problems(buckets: Any) -> list[str]:
    if not isinstance(buckets, dict):
        return ["buckets must be a dict of component to bucket; correct it"]
    names = ", ".join(USERS)
    problems = [
        f"buckets: {component} keeps nothing in a bucket; use {names}"
        for component in buckets
        if component not in USERS
    ]
    problems += [
        f"buckets: {bucket!r} is no name of a bucket; use lower-case letters, digits and dashes"
        for bucket in buckets.values()
        if not isinstance(bucket, str) or not BUCKET.fullmatch(bucket)
    ]
    if len({str(bucket) for bucket in buckets.values()}) < len(buckets):
        problems.append("buckets: two components share one; give each its own")
    return problems


def _parse(endpoint: str) -> tuple[str, str]:
    """Return scheme and host:port of an endpoint; raise CatalogError for anything else."""
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    is_bare = not (parts.path.strip("/") or parts.query or parts.username)
    if parts.scheme not in SCHEMES or not is_bare or not parts.netloc:
        raise CatalogError(
            f"endpoint {endpoint!r} is no address of a store; write one such as"
            " https://s3.example.net, without a bucket"
        )
    address = parts.netloc
    if not re.search(r":\d+$", address):
        address += SCHEMES[parts.scheme]
    try:
        catalog.parse_bind_address(address, "endpoint")
    except CatalogError as error:
        raise CatalogError(str(error).removesuffix(".")) from error
    return parts.scheme, address


def _plain_text(value: dict[str, Any], host: str, inventory: Inventory) -> list[str]:
    """Return a problem where the data would cross a network in plain text."""
    scheme, address = _parse(value["endpoint"])
    store = catalog.parse_bind_address(address, "endpoint").host
    is_dev = inventory.variable(host, catalog.ENVIRONMENT) == catalog.DEV
    is_safe = is_dev or catalog.allows_plaintext(store, host, inventory)
    if scheme == "https" or is_safe:
        return []
    problem = (
        f"endpoint {value['endpoint']!r} would get all data in plain text; use https, or an address"
        f" in {transport.NETWORKS_VARIABLE}"
    )
    return [problem]
