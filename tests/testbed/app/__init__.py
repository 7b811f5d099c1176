# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample application `hippius-s3` in containers: an S3-style API, its workers, Redis and PostgreSQL.

    up("http://172.30.0.5:4317")     # telemetry goes to this collector, which need not be there yet
    sent = traffic(200)              # {"requests": 200, "put_objects": 120, "trace_ids": [...], ...}
    lines = log_lines(10_000)        # {"run": "…", "lines": 10000, "container": "hippius-s3-printer-1"}
    down()

Names and labels are those that Docker Compose gives to the containers of a project. `flows` counts what arrived.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed import console, docker
from tests.testbed.app import image

PROJECT = "hippius-s3"
SOURCE = Path(__file__).parent / "hippius_s3"
WORKDIR = "/srv"
PORT = 8000
START_SECONDS = 60
# A password of a database that holds nothing and is reached from the bed's network only.
PASSWORD = "hippius-dev"
# The exporters' account of Redis and role of PostgreSQL.
EXPORTERS = "monitoring"
# Requests that were sent to each process of the API.
SERVED: Counter[str] = Counter()
ROLE = Path(__file__).parents[3] / "roles/postgres_exporter/files/role.sql"


@dataclass(frozen=True)
class Telemetry:
    """Where a process of the application sends what it tells."""

    collector: str
    # For traces that go there directly, in this environment; else the collector sets its own.
    tempo: str = ""
    environment: str = "dev"
    # For https: files by the ends of their variables' names, CERTIFICATE, CLIENT_CERTIFICATE and CLIENT_KEY.
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service of the project: what its container runs, and the port that answers once it is ready."""

    command: tuple[str, ...]
    port: int | None = None
    user: str = "nobody"
    environment: dict[str, str] = field(default_factory=dict)
    instrumented: bool = False


def redis(port: int) -> Service:
    """A Redis that keeps nothing on disk."""
    command = (
        "redis-server",
        "--port",
        str(port),
        "--protected-mode",
        "no",
        "--save",
        "",
        "--dir",
        "/tmp",
    )
    return Service(command, port, user="redis")


def instrumented(*command: str, port: int | None = None) -> Service:
    """A process of the application, under OpenTelemetry's launcher."""
    bin_ = f"{image.ENVIRONMENT}/bin"
    return Service(
        (f"{bin_}/opentelemetry-instrument", f"{bin_}/python3", "-m", *command),
        port,
        environment={
            "DATABASE_URL": f"postgresql://hippius:{PASSWORD}@postgres/hippius",
            "REDIS_URL": "redis://redis:6379",
            "REDIS_ACCOUNTS_URL": "redis://redis-accounts:6380",
            "REDIS_CHAIN_URL": "redis://redis-chain:6381",
            "PYTHONUNBUFFERED": "1",
        },
        instrumented=True,
    )


# In the order in which they start.
SERVICES = {
    "redis": redis(6379),
    "redis-accounts": redis(6380),
    "redis-chain": redis(6381),
    "postgres": Service(
        (f"{WORKDIR}/hippius_s3/start-postgres.sh",),
        5432,
        user="postgres",
        environment={"POSTGRES_PASSWORD": PASSWORD},
    ),
    "uploader": instrumented("hippius_s3.worker", "uploader"),
    "substrate": instrumented("hippius_s3.worker", "substrate"),
    "downloader": instrumented("hippius_s3.worker", "downloader"),
    "api": instrumented("hippius_s3.api", port=PORT),
}


def up(collector: str | None = None) -> None:
    """Start the application anew, with all its counters at zero.

    collector: where OTLP over gRPC goes, such as http://172.30.0.5:4317; by default to the host `demo`.
    """
    docker.start()
    collector = collector or default_collector()
    name = image.ensure()
    down()
    for service in SERVICES:
        start(service, name, Telemetry(collector))
    console.progress(
        f"{PROJECT} serves http://{address('api')}:{PORT}, telemetry goes to {collector}"
    )


def send_to(telemetry: Telemetry) -> None:
    """Start the API and the workers anew, which then send elsewhere."""
    name = image.ensure()
    for service in (service for service, what in SERVICES.items() if what.instrumented):
        docker.run("rm", "--force", container(service))
        start(service, name, telemetry)


def admit_exporters(password: str) -> None:
    """Give exporters their accounts, as the roles recommend them: in two of the Redis servers, and in PostgreSQL."""
    acl = f"ACL SETUSER {EXPORTERS} on >{password} -@all +@connection +info +config|get +slowlog +latency +memory"
    for service in ("redis", "redis-accounts"):
        port = str(SERVICES[service].port)
        told = feed(service, "redis", f"{acl} +client +select\n", "redis-cli", "-p", port)
        if told.strip() != "OK":
            raise RuntimeError(f"{service}: {told}")
    feed(
        "postgres",
        "postgres",
        ROLE.read_text(encoding="utf-8"),
        "psql",
        "--quiet",
        f"--set=role={EXPORTERS}",
    )
    feed("postgres", "postgres", f"alter role {EXPORTERS} password '{password}'", "psql", "--quiet")


def exporter_instances(password: str) -> dict[str, list[dict[str, str]]]:
    """Variables of the exporters' roles for the application's servers, once `admit_exporters` was called."""
    account = {"user": EXPORTERS, "password": password}
    return {
        "redis_exporter_instances": [
            {
                "name": name,
                "listen_address": f"127.0.0.1:{port}",
                "redis_address": f"{address(service)}:{SERVICES[service].port}",
                **credentials,
            }
            for name, port, service, credentials in (
                ("main", 9121, "redis", account),
                ("accounts", 9122, "redis-accounts", account),
                ("chain", 9123, "redis-chain", {}),
            )
        ],
        "postgres_exporter_instances": [
            {
                "name": "main",
                "listen_address": "127.0.0.1:9187",
                "postgres_address": f"{address('postgres')}:5432",
                **account,
            }
        ],
    }


def default_collector() -> str:
    """Where the collector of the host `demo` listens."""
    from tests.testbed import hosts

    return f"http://{hosts.get('demo').address}:4317"


def down() -> None:
    """Remove the application's containers and all that they hold."""
    ours = (
        "--filter",
        f"label=com.docker.compose.project={PROJECT}",
        "--filter",
        f"label={docker.LABEL}",
    )
    containers = docker.run("ps", "--all", "--quiet", *ours).split()
    if containers:
        docker.run("rm", "--force", "--volumes", *containers)


def container(service: str) -> str:
    """The name that Docker Compose gives to a service's container."""
    return f"{PROJECT}-{service}-1"


def address(service: str) -> str:
    """The address of a service's container on the bed's network, for which no port need be published."""
    return inspect(
        service, f'{{{{(index .NetworkSettings.Networks "{docker.NETWORK}").IPAddress}}}}'
    )


def instance(service: str) -> str:
    """The service.instance.id of a service's process; another one after each `up`."""
    return inspect(service, "{{.Config.Hostname}}")


def inspect(service: str, template: str) -> str:
    """What Docker knows of a service's container."""
    found = docker.run("inspect", "--format", template, container(service), check=False)
    if not found:
        raise LookupError(f"{container(service)} does not run: python3 -m tests.testbed app up")
    return found


def feed(service: str, user: str, text: str, *command: str) -> str:
    """Give a program in a service's container some text to read and return what it says."""
    done = subprocess.run(
        ["docker", "exec", "--interactive", "--user", user, container(service), *command],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(
            f"{service}: {command[0]} ended with {done.returncode}: {done.stderr or done.stdout}"
        )
    return done.stdout


def start(service: str, image_name: str, telemetry: Telemetry) -> None:
    """Start a service's container with the application's code in it, and wait until its port answers."""
    what = SERVICES[service]
    hostname = f"{container(service)}-{uuid.uuid4().hex[:8]}"
    variables = what.environment
    if what.instrumented:
        variables = variables | settings(service, hostname, telemetry)
    create(service, image_name, what.command, what.user, variables, hostname)
    for path in (SOURCE, *telemetry.files.values()):
        docker.run("cp", str(path), f"{container(service)}:{WORKDIR}/{path.name}")
    docker.run("start", container(service))
    if what.port:
        wait_for_port(service, what.port)


def create(
    service: str,
    image_name: str,
    command: tuple[str, ...],
    user: str,
    variables: dict[str, str],
    hostname: str,
) -> None:
    """Create a container as Docker Compose would."""
    docker.run(
        *("create", "--name", container(service), "--hostname", hostname),
        *("--label", docker.LABEL, "--label", f"com.docker.compose.project={PROJECT}"),
        *(
            "--label",
            f"com.docker.compose.service={service}",
            "--label",
            "com.docker.compose.container-number=1",
        ),
        *("--network", docker.NETWORK, "--network-alias", service, "--restart", "on-failure"),
        *("--user", user, "--workdir", WORKDIR),
        *(option for key, value in variables.items() for option in ("--env", f"{key}={value}")),
        *(image_name, *command),
    )


def settings(service: str, hostname: str, telemetry: Telemetry) -> dict[str, str]:
    """OpenTelemetry's settings of a process of the application."""
    resource = {
        "deployment.environment.name": telemetry.environment,
        "service.instance.id": hostname,
    }
    if telemetry.tempo:
        # What the collector would have set.
        resource["env"] = telemetry.environment
    return {
        "OTEL_SERVICE_NAME": f"{PROJECT}-{service}",
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in resource.items()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.collector,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": telemetry.tempo or telemetry.collector,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        **{
            f"OTEL_EXPORTER_OTLP_{end}": f"{WORKDIR}/{path.name}"
            for end, path in telemetry.files.items()
        },
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        # Lines go to stdout and from there to Loki; through OTLP each would be stored twice.
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "false",
    }


def wait_for_port(service: str, port: int) -> None:
    """Wait until a service accepts connections. No request is sent: each would count."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        state = docker.run(
            "inspect", "--format", "{{.State.Status}} {{.RestartCount}}", container(service)
        )
        try:
            socket.create_connection((address(service), port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline or state.startswith("exited"):
                logs = docker.run("logs", "--tail", "15", container(service))
                raise RuntimeError(
                    f"{container(service)} ({state}) does not answer: {error}\n{logs}"
                ) from error
        time.sleep(0.1)


def traffic(requests: int = 200, headers: Mapping[str, str] | None = None) -> dict:
    """Send requests to the API, one after another; each is answered or this raises.

    Returns what was sent: `requests`, `put_objects`, `statuses` (status -> count), `trace_ids` of the PutObjects, the
    `bucket`, a word in the log line of each request, and `served`, the requests that this process of the API has had.
    """
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    connection = http.client.HTTPConnection(address("api"), PORT, timeout=30)
    statuses: Counter[int] = Counter()
    trace_ids = []
    for method, path, body in mix(requests, bucket):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.read()
        statuses[response.status] += 1
        if method == "PUT":
            trace_ids.append(response.getheader("x-amz-request-id"))
    connection.close()
    process = instance("api")
    SERVED[process] += statuses.total()
    return {
        "bucket": bucket,
        "requests": statuses.total(),
        "served": SERVED[process],
        "put_objects": len(trace_ids),
        "statuses": dict(statuses),
        "trace_ids": trace_ids,
    }


def mix(requests: int, bucket: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Requests as a client's: of ten, six store an object, two read one, one lists, one asks for what is not there."""
    for number in range(requests):
        step, key = number % 10, f"/{bucket}/folder/object-{number}"
        if step < 6:
            yield "PUT", key, f"content of {key}\n".encode() * 20
        elif step < 8:
            yield "GET", f"/{bucket}/folder/object-{number - 4}", None
        elif step == 8:
            yield "GET", f"/{bucket}", None
        else:
            yield "GET", f"/{bucket}/missing-{number}", None


def log_lines(count: int, seconds: float = 0, service: str = "printer") -> dict:
    """Have a container of the project write numbered lines, as fast as it can or spread over some seconds.

    Returns at once what is sent: `run` (a word in each of its lines), `lines`, `container`. The container stays when
    it has ended, so that its log can be read; the one of an earlier call is removed.
    """
    name = image.ensure()
    run = uuid.uuid4().hex[:12]
    docker.run("rm", "--force", container(service), check=False)
    program = (
        "import sys, time; run, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / int(sys.argv[2])\n"
        "for number in range(1, count + 1):\n"
        "    print(f'run={run} line={number} of={count}', flush=pause > 0)\n"
        "    time.sleep(pause) if pause else None\n"
    )
    create(
        service,
        name,
        ("python3", "-c", program, run, str(count), str(seconds)),
        "nobody",
        {},
        service,
    )
    docker.run("start", container(service))
    return {"run": run, "lines": count, "container": container(service)}
