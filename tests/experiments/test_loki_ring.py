# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ring of three real Lokis does when members, the object store or both are away."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from tests.system.test_loki_ring import (
    API,
    Writer,
    cluster_of_three,
    require_all,
    wait_until,
)

# Ten heartbeat timeouts, and the interval of the election.
TAKEOVER_SECONDS = 10 * 30 + 15


def test_every_member_is_restarted_while_lines_are_sent(tmp_path: Path) -> None:
    with cluster_of_three(tmp_path) as cluster:
        with Writer(cluster, "rolling") as writer:
            for host in API:
                writer.wait_for(100)
                cluster.restart(host)
                wait_until(cluster.is_whole, 90)
        require_all(writer, "abc")


@pytest.mark.parametrize("order", ["abc", "bca"])
def test_one_becomes_three_on_its_bucket_while_lines_are_sent(
    tmp_path: Path, order: str
) -> None:
    with cluster_of_three(tmp_path, "a") as cluster:
        with Writer(cluster, "before") as before:
            before.wait_for(200)
        with Writer(cluster, "growing") as writer:
            writer.wait_for(100)
            for host in order:
                if host == "a":
                    cluster.restart(host)
                else:
                    cluster.start(host)
            wait_until(cluster.is_whole, 90)
            writer.wait_for(100)
        # The others look for new tables of the index every five minutes.
        started = time.monotonic()
        for written in (before, writer):
            for host in API:
                wait_until(partial(has_all, written, host), 360)
        print(f"each member finds all lines after {time.monotonic() - started:.0f} s")
        require_all(before, "abc")
        require_all(writer, "abc")


def has_all(writer: Writer, host: str) -> bool:
    return not writer.verdict(host)["missing"]


def test_two_of_three_are_killed_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    with cluster_of_three(tmp_path) as cluster:
        with Writer(cluster, "two") as writer:
            writer.wait_for(200)
            cluster.kill("b")
            cluster.kill("c")
            count = len(writer.acknowledged)
            time.sleep(20)
            # What was acknowledged on the way is no more than one batch.
            assert len(writer.acknowledged) <= count + 20
            cluster.start("b")
            writer.wait_for(200)
            cluster.start("c")
            wait_until(cluster.is_whole, 90)
        require_all(writer, "abc")


def test_the_object_store_is_away_and_lines_are_taken_and_found(tmp_path: Path) -> None:
    with cluster_of_three(tmp_path) as cluster:
        with Writer(cluster, "away") as writer:
            writer.wait_for(200)
            cluster.store_process.close()
            # Queries look into the store, and wait for it.
            writer.wait_for(500)
            print(f"longest refusal without the store {writer.longest:.1f} s")
            cluster.start_store()
            for loki in cluster.members.values():
                loki.post("/flush")
            writer.wait_for(200)
        wait_until(lambda: "fake/" in cluster.store.listing("logs"), 120)
        require_all(writer, "abc")


def test_another_member_compacts_after_the_death_of_the_one_that_did(
    tmp_path: Path,
) -> None:
    with cluster_of_three(tmp_path) as cluster:
        wait_until(lambda: len(cluster.compactors()) == 1, 90)
        [first] = cluster.compactors()
        cluster.kill(first)
        started = time.monotonic()
        wait_until(lambda: len(cluster.compactors()) == 1, TAKEOVER_SECONDS)
        print(f"another one compacts after {time.monotonic() - started:.0f} s")
