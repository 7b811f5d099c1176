# SPDX-License-Identifier: GPL-3.0-or-later
"""Annotations of an organization, after pkg/api/annotations.go of Grafana 12.4."""

from __future__ import annotations

from typing import Any

from tests.testbed.grafana.web import Refused, Request, route


@route("POST", "/api/annotations", "Editor")
def add_annotation(request: Request) -> Any:
    body = request.json()
    if not body.get("text"):
        raise Refused(500, "Failed to save annotation")
    number = request.store.next("annotation")
    annotation = {"id": number, "text": body["text"], "tags": body.get("tags") or []}
    request.store.put(request.org, "annotation", str(number), annotation)
    return {"message": "Annotation added", "id": number}


@route("GET", "/api/annotations")
def list_annotations(request: Request) -> Any:
    return request.store.all(request.org, "annotation")
