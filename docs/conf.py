# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration of the documentation's site; `make docs` builds it."""

from __future__ import annotations

project = "hippius.monitoring"
author = "Hippius"
html_show_copyright = False
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "furo"
html_title = "Hippius Monitoring"
html_static_path = ["static"]
html_css_files = ["site.css"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["requirements.txt"]
myst_enable_extensions = ["colon_fence"]
# Anchors of headings, so that pages can link to them as they do on a Git server.
myst_heading_anchors = 4
# antsibull-docs refers to pages of Ansible's own documentation, which is not at hand offline.
suppress_warnings = ["ref.ref"]
