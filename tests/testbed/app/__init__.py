# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample application `hippius-s3`: S3-style API, workers, Redis and PostgreSQL in containers.

    up("http://172.30.0.5:4317")  # the collector of telemetry, which may start later
    sent = traffic(200)           # {"requests": 200, "put_objects": 120, "trace_ids": [...], ...}
    lines = log_lines(10_000)     # {"run": "…", "lines": 10000, "container": "…"}
    down()

Names and labels are those that Docker Compose gives to the containers of a project. `flows` counts
the data that arrived.
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
from typing import Any

from tests.testbed import console, docker
from tests.testbed.app import image

PROJECT = "hippius-s3"
SOURCE = Path(__file__).parent / "hippius_s3"
WORKDIR = "/srv"
PORT = 8000
START_SECONDS = 60
# The password of an empty database, which only the test bed's network can reach.
PASSWORD = "hippius-dev"
# The exporters' account of Redis and role of PostgreSQL.
EXPORTERS = "monitoring"
EXPORTERS_COMMANDS = (
    "-@all +@connection +info +config|get +slowlog +latency +memory +client +select"
)
# The count of requests to each process of the API.
SERVED: Counter[str] = Counter()
ROLE = Path(__file__).parents[3] / "roles/postgres_exporter/files/role.sql"
# Arguments: run, count of lines, seconds.
PRINT_LINES = """
import sys, time
run, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
pause = seconds / count
for number in range(1, count + 1):
    print(f'run={run} line={number} of={count}', flush=pause > 0)
    time.sleep(pause) if pause else None
"""


@dataclass(frozen=True)
class Telemetry:
    """Destinations of the telemetry of a process of the application."""

    collector: str
    # Destination of direct traces, in this environment; otherwise the collector sets its own.
    tempo: str = ""
    environment: str = "dev"
    # For https: files by the end of their variable's name, which is CERTIFICATE,
    # CLIENT_CERTIFICATE or CLIENT_KEY.
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service of the project: the command of its container, and the port that becomes ready."""

    command: tuple[str, ...]
    port: int | None = None
    user: str = "nobody"
    environment: dict[str, str] = field(default_factory=dict)
    instrumented: bool = False


def redis(port: int) -> Service:
    """Return a Redis service without persistence."""
    options = ("--protected-mode", "no", "--save", "", "--dir", "/tmp")
    return Service(("redis-server", "--port", str(port), *options), port, user="redis")


def instrumented(*command: str, port: int | None = None) -> Service:
    """Return a service of the application, run by OpenTelemetry's launcher."""
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
    """Restart the application, with all its counters at zero.

    `collector` is the address for OTLP over gRPC, such as http://172.30.0.5:4317; by default that
    of the host `demo`.
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
    """Restart the API and the workers with other destinations of telemetry."""
    name = image.ensure()
    for service, definition in SERVICES.items():
        if definition.instrumented:
            docker.run("rm", "--force", container(service))
            start(service, name, telemetry)


def admit_exporters(password: str) -> None:
    """Create the exporters' accounts as the roles recommend.

    Two of the Redis servers and PostgreSQL get one.
    """
    acl = f"ACL SETUSER {EXPORTERS} on >{password} {EXPORTERS_COMMANDS}\n"
    for service in ("redis", "redis-accounts"):
        port = str(SERVICES[service].port)
        output = feed(service, "redis", acl, "redis-cli", "-p", port)
        if output.strip() != "OK":
            raise RuntimeError(f"{service}: {output}")
    psql = ("psql", "--quiet")
    create_role = ROLE.read_text(encoding="utf-8")
    feed("postgres", "postgres", create_role, *psql, f"--set=role={EXPORTERS}")
    feed("postgres", "postgres", f"alter role {EXPORTERS} password '{password}'", *psql)


def exporter_instances(password: str) -> dict[str, list[dict[str, str]]]:
    """Return the variables of the exporters' roles for the application's servers.

    `admit_exporters` must have been called.
    """
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
    """Return the OTLP address of the collector on the host `demo`."""
    from tests.testbed import hosts

    return f"http://{hosts.get('demo').address}:4317"


def down() -> None:
    """Remove the application's containers and their volumes."""
    filters = (
        *("--filter", f"label=com.docker.compose.project={PROJECT}"),
        *("--filter", f"label={docker.LABEL}"),
    )
    containers = docker.run("ps", "--all", "--quiet", *filters).split()
    if containers:
        docker.run("rm", "--force", "--volumes", *containers)


def container(service: str) -> str:
    """Return the name that Docker Compose gives to a service's container."""
    return f"{PROJECT}-{service}-1"


def address(service: str) -> str:
    """Return the address of a service's container on the test bed's network."""
    network = f'(index .NetworkSettings.Networks "{docker.NETWORK}")'
    return inspect(service, f"{{{{{network}.IPAddress}}}}")


def instance(service: str) -> str:
    """Return the service.instance.id of a service's process; each `up` changes it."""
    return inspect(service, "{{.Config.Hostname}}")


def inspect(service: str, template: str) -> str:
    """Return a value of a service's container, rendered by a template of `docker inspect`."""
    value = docker.run("inspect", "--format", template, container(service), check=False)
    if not value:
        raise LookupError(
            f"{container(service)} does not run; run python3 -m tests.testbed app up"
        )
    return value


def feed(service: str, user: str, stdin: str, *command: str) -> str:
    """Run a command in a service's container with standard input, and return its output."""
    done = subprocess.run(
        [
            "docker",
            "exec",
            "--interactive",
            "--user",
            user,
            container(service),
            *command,
        ],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        output = done.stderr or done.stdout
        raise RuntimeError(
            f"{service}: {command[0]} ended with {done.returncode}: {output}"
        )
    return done.stdout


def start(service: str, image_name: str, telemetry: Telemetry) -> None:
    """Start a service's container with the application's code, and wait for its port."""
    definition = SERVICES[service]
    hostname = f"{container(service)}-{uuid.uuid4().hex[:8]}"
    variables = definition.environment
    if definition.instrumented:
        variables = variables | settings(service, hostname, telemetry)
    create(
        service, image_name, definition.command, definition.user, variables, hostname
    )
    for path in (SOURCE, *telemetry.files.values()):
        docker.run("cp", str(path), f"{container(service)}:{WORKDIR}/{path.name}")
    docker.run("start", container(service))
    if definition.port:
        wait_for_port(service, definition.port)


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
        *("--label", f"com.docker.compose.service={service}"),
        *("--label", "com.docker.compose.container-number=1"),
        *(
            "--network",
            docker.NETWORK,
            "--network-alias",
            service,
            "--restart",
            "on-failure",
        ),
        *("--user", user, "--workdir", WORKDIR),
        *(
            option
            for key, value in variables.items()
            for option in ("--env", f"{key}={value}")
        ),
        *(image_name, *command),
    )


def settings(service: str, hostname: str, telemetry: Telemetry) -> dict[str, str]:
    """Return OpenTelemetry's environment variables for a process of the application."""
    resource = {
        "deployment.environment.name": telemetry.environment,
        "service.instance.id": hostname,
    }
    if telemetry.tempo:
        # The collector would set it otherwise.
        resource["env"] = telemetry.environment
    attributes = ",".join(f"{key}={value}" for key, value in resource.items())
    variables = {
        "OTEL_SERVICE_NAME": f"{PROJECT}-{service}",
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
        "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.collector,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": telemetry.tempo or telemetry.collector,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        # Lines reach Loki by stdout; by OTLP each would be stored a second time.
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "false",
    }
    for end, path in telemetry.files.items():
        variables[f"OTEL_EXPORTER_OTLP_{end}"] = f"{WORKDIR}/{path.name}"
    return variables


def wait_for_port(service: str, port: int) -> None:
    """Wait until a service accepts connections, without a request, which would be counted."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        state = inspect(service, "{{.State.Status}} {{.RestartCount}}")
        try:
            socket.create_connection((address(service), port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline or state.startswith("exited"):
                logs = docker.run("logs", "--tail", "15", container(service))
                message = (
                    f"{container(service)} ({state}) does not answer: {error}\n{logs}"
                )
                raise RuntimeError(message) from error
        time.sleep(0.1)


def traffic(
    requests: int = 200, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Send requests to the API, one after another; raise if one is not answered.

    The result has `requests`, `put_objects`, `statuses` (status -> count), `trace_ids` of the
    PutObjects, the `bucket`, which is in the log line of each request, and `served`, the total of
    requests to this process of the API.
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
    """Yield a client's requests: of ten, six PUT, two GET, one list, one missing object."""
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


def log_lines(
    count: int, seconds: float = 0, service: str = "printer"
) -> dict[str, Any]:
    """Start a container of the project that writes numbered lines.

    It writes as fast as possible, or spread over `seconds`. The result, which is returned at once,
    has `run` (a word in each line), `lines` and `container`. The container remains after its end,
    so that its log can be read; that of an earlier call is removed.
    """
    name = image.ensure()
    run = uuid.uuid4().hex[:12]
    docker.run("rm", "--force", container(service), check=False)
    command = ("python3", "-c", PRINT_LINES, run, str(count), str(seconds))
    create(service, name, command, "nobody", {}, service)
    docker.run("start", container(service))
    return {"run": run, "lines": count, "container": container(service)}
