# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample application's telemetry, before any of our servers has processed it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import pytest

from tests.testbed import app, docker
from tests.testbed.app import flows, image

REQUESTS = 50
RECEIVER = "hippius-monitoring-otlp-receiver"
# Runs in the application's image, which has the libraries: prints everything that arrives by
# OTLP, one JSON line each.
PROGRAM = """
import concurrent.futures, grpc, json
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as log
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metric
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces

def strings(attributes):
    return {attribute.key: attribute.value.string_value for attribute in attributes}

def write(**fields):
    print(json.dumps(fields), flush=True)

class Traces(traces.TraceServiceServicer):
    def Export(self, request, context):
        for sent in request.resource_spans:
            for scope in sent.scope_spans:
                for span in scope.spans:
                    write(kind="span", resource=strings(sent.resource.attributes),
                          scope=scope.scope.name, name=span.name, trace=span.trace_id.hex(),
                          parent=span.parent_span_id.hex(), span=span.span_id.hex())
        return trace.ExportTraceServiceResponse()

class Metrics(metrics.MetricsServiceServicer):
    def Export(self, request, context):
        for sent in request.resource_metrics:
            for scope in sent.scope_metrics:
                for sample in scope.metrics:
                    for point in sample.histogram.data_points:
                        write(kind="histogram", resource=strings(sent.resource.attributes),
                              name=sample.name, unit=sample.unit,
                              labels=strings(point.attributes), count=point.count)
                    for point in sample.sum.data_points:
                        write(kind="sum", resource=strings(sent.resource.attributes),
                              name=sample.name, labels=strings(point.attributes),
                              value=point.as_int)
        return metric.ExportMetricsServiceResponse()

class Logs(logs.LogsServiceServicer):
    def Export(self, request, context):
        write(kind="log")
        return log.ExportLogsServiceResponse()

server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
traces.add_TraceServiceServicer_to_server(Traces(), server)
metrics.add_MetricsServiceServicer_to_server(Metrics(), server)
logs.add_LogsServiceServicer_to_server(Logs(), server)
server.add_insecure_port("0.0.0.0:4317")
server.start()
server.wait_for_termination()
"""


def received() -> list[dict]:
    """Return everything that has arrived so far."""
    return [json.loads(line) for line in docker.run("logs", RECEIVER).splitlines()]


def counted(arrived: list[dict], name: str) -> dict[tuple, int]:
    """Return the newest count of each series of a histogram."""
    histograms = [
        one for one in arrived if one["kind"] == "histogram" and one["name"] == name
    ]
    return {
        tuple(sorted(one["labels"].items())): int(one["count"]) for one in histograms
    }


@pytest.fixture(scope="module")
def sent(docker_daemon):
    """Send requests, the first half before the receiver starts; stop the receiver at the end."""
    docker.run("rm", "--force", RECEIVER, check=False)
    app.up(f"http://{RECEIVER}:4317")
    try:
        early = app.traffic(REQUESTS)
        docker.run(
            *("run", "--detach", "--name", RECEIVER, "--label", docker.LABEL),
            *("--network", docker.NETWORK),
            *(image.ensure(), f"{image.ENVIRONMENT}/bin/python3", "-c", PROGRAM),
        )
        flows.settle(
            received, lambda arrived: any(one["kind"] == "sum" for one in arrived), 60
        )
        yield {"early": early, "late": app.traffic(REQUESTS)}
    finally:
        app.down()
        docker.run("rm", "--force", RECEIVER, check=False)


@pytest.fixture(scope="module")
def traces(sent):
    """Return the spans of each trace that began after the receiver."""
    desired = set(sent["late"]["trace_ids"])

    def incomplete(arrived):
        return desired - {
            one["trace"]
            for one in arrived
            if one["kind"] == "span" and one["name"] == "substrate process"
        }

    arrived = flows.settle(received, lambda arrived: not incomplete(arrived), 30)
    assert not incomplete(arrived)
    by_trace = defaultdict(list)
    for one in arrived:
        if one["kind"] == "span" and one["trace"] in desired:
            by_trace[one["trace"]].append(one)
    return by_trace


def test_every_request_is_answered_while_no_collector_is_there(sent):
    assert sent["early"]["requests"] == REQUESTS
    assert set(sent["early"]["statuses"]) == {200, 404}


def test_each_request_is_observed_once(sent):
    def total(arrived):
        return sum(counted(arrived, "http_request_duration_seconds").values())

    arrived = flows.settle(received, lambda arrived: total(arrived) >= 2 * REQUESTS, 30)
    statuses = Counter(sent["early"]["statuses"]) + Counter(sent["late"]["statuses"])
    assert total(arrived) == 2 * REQUESTS
    series = counted(arrived, "http_request_duration_seconds")
    by_status = Counter()
    for labels, count in series.items():
        assert [name for name, _ in labels] == ["handler", "method", "status_code"]
        by_status[int(dict(labels)["status_code"])] += count
    assert by_status == statuses
    assert {
        one["unit"]
        for one in arrived
        if one.get("name") == "http_request_duration_seconds"
    } == {"s"}


def test_a_put_object_makes_one_trace_of_http_database_and_worker_spans(traces, sent):
    assert (
        len(traces)
        == sent["late"]["put_objects"]
        == len(set(sent["late"]["trace_ids"]))
    )
    for spans in traces.values():
        ids = {span["span"] for span in spans}
        roots = [span["name"] for span in spans if not span["parent"]]
        assert roots == ["PUT /{bucket}/{key:path}"]
        assert all(span["parent"] in ids for span in spans if span["parent"])
        by_service = defaultdict(set)
        for span in spans:
            by_service[span["resource"]["service.name"]].add(
                (span["scope"].rpartition(".")[2], span["name"])
            )
        assert by_service["hippius-s3-api"] >= {
            ("asyncpg", "INSERT"),
            ("redis", "LPUSH"),
        }
        assert by_service["hippius-s3-uploader"] >= {
            ("worker", "uploader process"),
            ("asyncpg", "UPDATE"),
        }
        assert by_service["hippius-s3-substrate"] >= {
            ("worker", "substrate process"),
            ("asyncpg", "UPDATE"),
        }


def test_no_trace_comes_from_anything_but_a_request(traces, sent):
    roots = [
        one["name"] for one in received() if one["kind"] == "span" and not one["parent"]
    ]
    assert len(roots) >= REQUESTS
    assert {name.partition(" ")[0] for name in roots} == {"GET", "PUT"}


def test_each_process_names_its_service_instance_and_environment(traces):
    resources = [one["resource"] for one in received() if "resource" in one]
    services = {resource["service.name"]: resource for resource in resources}
    assert set(services) == {
        f"hippius-s3-{name}" for name in ("api", "uploader", "substrate", "downloader")
    }
    for name, resource in services.items():
        assert resource["deployment.environment.name"] == "dev"
        assert resource["service.instance.id"] == app.instance(
            name.removeprefix("hippius-s3-")
        )


def test_lines_go_to_stdout_with_their_trace_and_not_through_otlp(traces, sent):
    stdout = docker.run("logs", app.container("api"))
    for trace_id in sent["late"]["trace_ids"]:
        assert stdout.count(f"trace_id={trace_id} PUT /{sent['late']['bucket']}/") == 1
    assert not [one for one in received() if one["kind"] == "log"]


def test_containers_are_named_and_labelled_as_compose_does(sent):
    for service in app.SERVICES:
        labels = json.loads(app.inspect(service, "{{json .Config.Labels}}"))
        assert labels["com.docker.compose.project"] == "hippius-s3"
        assert labels["com.docker.compose.service"] == service
        assert app.container(service) == f"hippius-s3-{service}-1"


@pytest.mark.parametrize(("seconds", "lines"), [(0, 10_000), (1, 20)])
def test_a_container_writes_each_numbered_line_once(sent, seconds, lines):
    printed = app.log_lines(lines, seconds=seconds)
    flows.settle(
        lambda: app.inspect("printer", "{{.State.Status}}"),
        lambda state: state == "exited",
        30,
    )
    written = docker.run("logs", printed["container"]).splitlines()
    assert written == [
        f"run={printed['run']} line={number} of={lines}"
        for number in range(1, lines + 1)
    ]
