#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a whole Grafana to the state in files, or export its state as such files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_content
short_description: Bring a whole Grafana to the state in directories of files
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Reads folders, datasources, library panels, dashboards, message templates, mute timings, contact
    points, the notification policy and alert rules in Grafana's own formats, and brings Grafana to
    this state, in one process for all of them.
  - The controller reads directories and files, byte for byte. Nothing in them is templated by
    Ansible, so C({{ $labels.instance }}) needs no escaping. Files encrypted by Ansible Vault are
    read too.
  - Everything is read and checked before anything is sent, references such as that of a rule to its
    datasource too. All errors are reported at once, with file and line, and then nothing is
    written.
  - Without differences only reads are sent. Objects that were written are read back, and must then
    be as desired.
  - An existing provisioning directory of Grafana can be used unchanged.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.provenance
options:
  state:
    description:
      - V(present) brings Grafana to the state in O(content).
      - V(exported) writes Grafana's state into O(export_directory), as files for O(content) that
        then differ in nothing. Secrets become variables in them, which the result lists. Other
        files there stay, with a warning.
    type: str
    choices: [present, exported]
    default: present
  content:
    description:
      - Sources of the desired objects. Each item has one of C(directory), C(file) and C(objects).
      - A JSON file in a directory is a dashboard, in any form that Grafana exports except schema
        v2. The directories above it, below the given one and below a first C(dashboards), are its
        folders. A file C(_folder.yml) gives a directory's folder a C(title), a C(uid) and a
        C(description).
      - A YAML file, or a JSON file with C(apiVersion) 1, is a provisioning file of Grafana, with
        C(datasources), C(contactPoints), C(policies), C(templates), C(muteTimes), C(groups),
        C(providers), and lists of objects to delete (C(deleteDatasources) and so on). A field that
        Grafana does not have is an error.
      - If a directory has C(providers) of dashboards, only these add dashboards, as in Grafana.
      - A YAML file with C(groups) alone is a rule file of Prometheus. Its alerts become rules of
        Grafana, except those with the label C(engine) V(prometheus).
      - Other files, and files whose name begins with a dot, are ignored.
    type: list
    elements: dict
    default: []
    suboptions:
      directory:
        description: Directory on the controller, searched in the path for C(files).
        type: str
      file:
        description: Single file of the same kinds.
        type: str
      objects:
        description:
          - Objects as in a provisioning file, also C(folders), each with C(folder), C(uid) and
            C(description), C(dashboards), each with C(dashboard) and C(folder) or C(folderUid),
            and C(library_panels), each with C(uid), C(name), C(model) and C(folder) or
            C(folderUid). A folder is a path of titles.
          - They are sent unchanged, C($) included. Write values with C({{ }}) for Grafana as
            C(!unsafe).
        type: dict
      folder:
        description: Path of the folder, as titles, above dashboards and Prometheus rules.
        type: str
        default: ""
      datasource_uid:
        description: uid of the datasource that Prometheus rules query.
        type: str
        default: prometheus
      paths:
        description:
          - Local directories of paths in C(providers), which are paths of the Grafana or container
            for which the files were written.
          - C(/etc/grafana/provisioning) is the directory itself.
        type: dict
        default: {}
  environment:
    description:
      - Values of variables in provisioning files. C($NAME), C(${NAME}) and C($__env{NAME}) become
        the value and C($$) becomes a dollar wherever Grafana replaces variables, which excludes
        annotations and queries of rules, templates, mute timings and dashboards.
      - The environment of the controller is not used. A variable without a value becomes an empty
        string, as in Grafana, with a warning; it is an error if the whole field is then empty.
      - C($__file{path}) becomes the content of a file on the controller, without surrounding white
        space.
    type: dict
    default: {}
  inputs:
    description:
      - Values of inputs such as C(DS_PROMETHEUS) of exported dashboards, mostly uids of
        datasources.
      - Without a value an input is the datasource of its type, the default datasource first.
    type: dict
    default: {}
  token_path:
    description:
      - File on the host with the token of a service account, which sends all requests. If the file
        is missing, or Grafana refuses the token, O(password) creates the account and the token
        first, and the token is written there, readable by its owner only.
      - Its directory must exist.
    type: path
  service_account:
    description: Name of that service account. Its role is C(Admin), since no other role may read
      contact points.
    type: str
    default: hippius-monitoring
  owner:
    description:
      - Name under which this task owns the objects that it creates. Grafana keeps their list as a
        message template C(<owner>.owned).
      - Tasks with different content need different names. Without a name nothing is owned and
        nothing is pruned.
    type: str
    default: hippius-monitoring
  prune:
    description:
      - Kinds of which to delete objects that this owner created and O(content) no longer has. A
        kind without any desired object is not pruned, nor is a folder that holds anything.
    type: list
    elements: str
    choices:
      - folder
      - datasource
      - library_panel
      - dashboard
      - template
      - mute_timing
      - contact_point
      - policy
      - rule_group
    default: []
  prune_max:
    description: Maximum number of objects to prune at once. With more, nothing is changed.
    type: int
    default: 10
  exact:
    description: Whether to remove keys in the C(jsonData) of a datasource that O(content) does not
      have.
    type: bool
    default: false
  fingerprint_key:
    description:
      - Key of the digests by which secrets of datasources are compared, any constant secret string.
        Without one a slow salted hash is used, which takes some 50 ms for each secret.
    type: str
  export_directory:
    description: Directory of the exported files on the controller. Required when O(state=exported).
    type: str
  payload:
    description: Desired objects, encoded by the controller. Set by the action plugin.
    type: str
notes:
  - Names that only one object may have are passed on within a run in the right order; two objects
    that swap their names are refused.
  - The host of the task sends the requests to Grafana, so Grafana's default address works there.
"""

EXAMPLES = r"""
- name: Bring Grafana to the state in the repository
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    content:
      - directory: grafana
      - file: alerts/redis.yml
        folder: Databases
        datasource_uid: prometheus
      - objects:
          datasources:
            - name: Prometheus
              uid: prometheus
              type: prometheus
              url: http://127.0.0.1:9090
              isDefault: true
    environment:
      DISCORD_WEBHOOK: "{{ discord_webhook }}"

- name: Take over the provisioning directory of containers, and delete what it no longer has
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    content:
      - directory: compose/grafana/provisioning
        paths: {/var/lib/grafana/dashboards: compose/grafana/dashboards}
    prune: [dashboard, rule_group, contact_point]

- name: Export Grafana's state into files
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    state: exported
    export_directory: exported
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode, in order.
  returned: when state is present
  type: list
  elements: dict
  sample:
    - kind: dashboard
      identity: redis
      action: update
      source: grafana/dashboards/redis.json:1
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: when state is present
  type: dict
  sample: {dashboard: {create: 0, update: 1, keep: 29, delete: 0}}
token_changed:
  description: Whether a token was created, or would be in check mode.
  returned: when state is present and token_path is given
  type: bool
errors:
  description: Errors in the content, each with file and line.
  returned: when the content has errors
  type: list
  elements: str
files:
  description: Files that were written, or would be in check mode, below the directory.
  returned: when state is exported
  type: list
  elements: str
variables:
  description: Variables in the files that stand for secrets. O(environment) needs them when the
    files are used.
  returned: when state is exported
  type: list
  elements: str
"""

from typing import Any

from ..module_utils.grafana import payload
from ..module_utils.grafana.api import service_account
from ..module_utils.grafana.api.client import Client
from ..module_utils.grafana.files import exporting
from ..module_utils.grafana.grafana_module import (
    CONNECTION,
    ONE_LOGIN,
    PROVENANCE,
    connect,
    finish,
    hide_secrets,
    unplanned,
)
from ..module_utils.grafana.kinds.registry import KINDS
from ..module_utils.grafana.sync.load import read_existing
from ..module_utils.grafana.sync.reconcile import Options, reconcile
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {
    **payload.CONTROLLER,
    "state": {"type": "str", "choices": ["present", "exported"], "default": "present"},
    "token_path": {"type": "path", "no_log": False},
    "service_account": {"type": "str", "default": "hippius-monitoring"},
    "owner": {"type": "str", "default": "hippius-monitoring"},
    "prune": {"type": "list", "elements": "str", "choices": list(KINDS), "default": []},
    "prune_max": {"type": "int", "default": 10},
    "exact": {"type": "bool", "default": False},
    "fingerprint_key": {"type": "str", "no_log": True},
    "payload": {"type": "str", "no_log": True},
}


def connect_with_token(
    params: dict[str, Any], check: bool
) -> tuple[Client, dict[str, bool]]:
    """Return a client, and result values if a token file is used.

    Without a token file the client logs in with the options.
    """
    token_path = params["token_path"]
    if not token_path:
        return connect(params, check), {}

    def with_token(token: str) -> Client:
        return connect({**params, "password": None, "token": token}, check)

    token = service_account.working_token(with_token, token_path)
    if token:
        return with_token(token), {"token_changed": False}
    account = service_account.Account(
        params["service_account"], "Admin", token_path=token_path
    )
    service_account.converge(connect(params, check), with_token, account, check)
    return connect(params, check), {"token_changed": True, "changed": True}


def present(module: QuietModule) -> dict[str, Any]:
    """Bring Grafana to the desired state."""
    params = module.params
    desired, required = payload.decode_content(params["payload"])
    hide_secrets(module, desired)
    values = unplanned(module, bool(desired))
    if values is not None:
        return values
    options = Options(
        check=module.check_mode,
        owner=params["owner"],
        fingerprint_key=params["fingerprint_key"] or "",
        editable=params["editable"],
        adopt=params["adopt"],
        prune=tuple(params["prune"]),
        prune_max=params["prune_max"],
        exact_json_data=params["exact"],
        required=tuple(required),
    )
    client, token_values = connect_with_token(params, module.check_mode)
    result = reconcile(client, desired, options)
    return {**result.values(), **token_values, "warnings": result.warnings}


def exported(module: QuietModule) -> dict[str, Any]:
    """Return the state of Grafana as files, which the controller writes."""
    client, _token_values = connect_with_token(module.params, True)
    files = exporting.files(read_existing(client))
    return {"changed": False, "payload": payload.encode(files)}


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={**CONNECTION, **PROVENANCE, **OPTIONS},
        supports_check_mode=True,
        **ONE_LOGIN,
    )
    act = present if module.params["state"] == "present" else exported
    finish(module, lambda: act(module))


if __name__ == "__main__":
    main()
