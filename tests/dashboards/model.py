# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of a dashboard: what it shows, without Grafana's format. Pure.

In queries `{@` stands for the matchers of the board's variables: `up{@}` or `up{@, job="x"}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Colors by meaning. A threshold line takes the color of what lies above it, so the last step of
# a lower limit is transparent.
GOOD, WARN, BAD, PLAIN, NONE = "green", "orange", "red", "text", "transparent"
Steps = tuple[tuple[str, float | None], ...]
LOWER_IS_BAD: Steps = ((BAD, None), (GOOD, 1))
YOUNG: Steps = ((WARN, None), (PLAIN, 600))


@dataclass(frozen=True)
class Query:
    """One query of a panel; the legend names the environment of each series."""

    expr: str
    legend: str
    exemplars: bool = False
    source: str = "prometheus"


@dataclass(frozen=True)
class Column:
    """A column of a table: the value of a query for the row's labels, colored by its steps."""

    title: str
    expr: str
    unit: str = "none"
    steps: Steps = ((PLAIN, None),)
    decimals: int | None = None
    up_or_down: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel. Its number is its address in links of alerts, so it never changes."""

    number: int
    kind: str
    title: str
    description: str
    queries: tuple[Query, ...] = ()
    unit: str = "none"
    width: int = 8
    # Nine leave three whole lines of the legend.
    height: int = 9
    minimum: float | None = 0
    maximum: float | None = None
    # Upper end of the axis unless the values are larger, so that zero does not fill the panel.
    soft_maximum: float | None = None
    steps: Steps = ((PLAIN, None),)
    # Whether the steps are drawn as lines.
    lines: bool = False
    stacked: bool = False
    bars: bool = False
    up_or_down: bool = False
    # Color by a regular expression of the series' names.
    colors: tuple[tuple[str, str], ...] = ()
    no_value: str = ""
    # Title and address of links that a click on a value offers.
    links: tuple[tuple[str, str], ...] = ()
    decimals: int | None = None
    # Alerts that link to the panel.
    alerts: tuple[str, ...] = ()
    # Labels of a table's rows with the titles of their columns, and the columns of values.
    labels: tuple[tuple[str, str], ...] = ()
    columns: tuple[Column, ...] = ()
    # Title of the column by which a table is sorted, the largest first; otherwise by its labels.
    sorted_by: str = ""


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it, which flow from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A variable with the values of a label, or of a fixed list, or a text box."""

    name: str
    label: str
    # Metric with matchers whose label of this name has the values.
    metric: str = ""
    values: tuple[str, ...] = ()
    text: bool = False
    key: str = ""

    @property
    def of(self) -> str:
        """Return the label whose values the variable has."""
        return self.key or self.name


@dataclass(frozen=True)
class Board:
    """One dashboard. The uid is `hippius-<name>`."""

    name: str
    role: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    # Matchers that `{@` stands for.
    matchers: str = 'env=~"$env", host=~"$host"'
    # Page of the runbook, and queries of annotations by name.
    runbook: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    logs: bool = False

    @property
    def panels(self) -> list[Panel]:
        """Return the panels of all rows."""
        return [panel for row in self.rows for panel in row.panels]
