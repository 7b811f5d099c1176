# SPDX-License-Identifier: GPL-3.0-or-later
"""Each flow of a whole site is cut alone, and playbooks/verify.yml is red there alone."""

from __future__ import annotations

import pytest

from tests.resilience import cuts
from tests.resilience.site import Site
from tests.resilience.test_site import site

__all__ = ["site"]


@pytest.mark.parametrize("name", cuts.CUTS)
def test_a_cut_is_shown_at_its_place_alone(site: Site, name: str) -> None:
    found = cuts.require_cut(site, cuts.CUTS[name])
    assert found.seconds < 120


def test_nothing_is_broken_afterwards(site: Site) -> None:
    found = cuts.verify(site)
    assert found.states == {}
    assert found.seconds < 90
