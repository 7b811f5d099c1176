#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a whole Grafana to what directories and objects want, in one process, or write it out as such directories."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_content
short_description: Bring a whole Grafana to what directories of files want
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Takes folders, datasources, dashboards, message templates, mute timings, contact points, the notification policy and
    alert rules in Grafana's own formats, and makes Grafana have them, in one process for all of them.
  - Directories and files are read on the controller, byte for byte. Nothing in them goes through Jinja, so
    C({{ $labels.instance }}) needs no care. Files that Ansible Vault encrypted are read too.
  - Everything is read and checked before anything is sent; references are checked too, for instance of a rule to its
    datasource. All that is wrong is told at once, with file and line, and then nothing is written.
  - Nothing but reads is sent when nothing differs. What was written is read back, and must then be as it was asked for.
  - An existing provisioning directory of Grafana can be given as it is.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.provenance
options:
  state:
    description:
      - V(present) makes Grafana have O(content).
      - V(exported) writes what Grafana has into O(export_directory), as files that O(content) takes and that then
        differ in nothing. Secrets become variables in them, which the result lists. Other files there stay, and are
        warned of.
    type: str
    choices: [present, exported]
    default: present
  content:
    description:
      - Where to find what is wanted. Each item has one of C(directory), C(file) and C(objects).
      - A JSON file in a directory is a dashboard, in any form that Grafana exports but the schema v2. The directories
        that it is in, below the one that is named and below a first C(dashboards), are its folders. A file
        C(_folder.yml) gives a directory's folder a C(title), a C(uid) and a C(description).
      - A YAML file, or a JSON file with C(apiVersion) 1, is a provisioning file of Grafana, with C(datasources),
        C(contactPoints), C(policies), C(templates), C(muteTimes), C(groups), C(providers) and what is to be deleted
        (C(deleteDatasources) and so on). A field that Grafana does not know is an error.
      - Where a directory has C(providers) of dashboards, only these bring dashboards, as in Grafana.
      - A YAML file with C(groups) alone is a rule file of Prometheus. Its alerts become rules of Grafana, but for those
        with the label C(engine) V(prometheus).
      - Other files, and those whose name begins with a dot, are nothing.
    type: list
    elements: dict
    default: []
    suboptions:
      directory:
        description: A directory on the controller, searched as C(files) are.
        type: str
      file:
        description: One such file.
        type: str
      objects:
        description:
          - Objects as in a provisioning file, and C(folders), each with C(folder), C(uid) and C(description), and
            C(dashboards), each with C(dashboard) and C(folder) or C(folderUid). A folder is the path of its titles.
          - They are taken as they are, C($) included. Give text with C({{ }}) for Grafana as C(!unsafe).
        type: dict
      folder:
        description: Path of the folder, as titles, that dashboards and rules of Prometheus are put below.
        type: str
        default: ""
      datasource_uid:
        description: uid of the datasource that rules of Prometheus ask.
        type: str
        default: prometheus
      paths:
        description:
          - Paths in C(providers), as the Grafana or its container has them that the files were written for, and where
            the same directories are on the controller.
          - C(/etc/grafana/provisioning) is the directory itself.
        type: dict
        default: {}
  environment:
    description:
      - Values of variables in provisioning files. C($NAME), C(${NAME}) and C($__env{NAME}) become the value and C($$)
        becomes a dollar wherever Grafana does so, which is not in annotations and queries of rules, templates, mute
        timings and dashboards.
      - The environment of the controller is not looked at. A variable without a value becomes nothing, as in Grafana,
        and is warned of; it is an error where nothing at all is left.
      - C($__file{path}) becomes the content of a file on the controller, without the space around it.
    type: dict
    default: {}
  inputs:
    description:
      - Values of inputs such as C(DS_PROMETHEUS) that dashboards were exported with, uids of datasources mostly.
      - An input that is not here is the datasource of its type, the default one first.
    type: dict
    default: {}
  token_path:
    description:
      - File on the host of the task with the token of a service account, by which everything is done. Where it is
        missing, or Grafana does not take the token, O(password) makes the account and the token first, and keeps the
        token there, readable by its owner only.
      - Its directory must exist.
    type: path
  service_account:
    description: Name of that service account. Its role is C(Admin), since nobody else may read what notifies.
    type: str
    default: hippius-monitoring
  owner:
    description:
      - Name under which this task owns what it makes. Grafana keeps the list as a message template C(<owner>.owned).
      - Tasks with different content need different names. Without a name nothing is owned and nothing is pruned.
    type: str
    default: hippius-monitoring
  prune:
    description:
      - Kinds of which to delete what this owner made and O(content) does not want any more. A kind of which nothing is
        wanted is not pruned, and never a folder that holds something.
    type: list
    elements: str
    choices: [folder, datasource, dashboard, template, mute_timing, contact_point, policy, rule_group]
    default: []
  prune_max:
    description: How many objects may be pruned at once. With more, nothing is changed.
    type: int
    default: 10
  exact:
    description: Whether keys that the C(jsonData) of a datasource has beside the wanted ones are taken away.
    type: bool
    default: false
  fingerprint_key:
    description:
      - Key of the digests by which secrets of datasources are compared, any secret text that stays the same. Without
        one a slow hash with a salt is used, which costs some time for each secret.
    type: str
  export_directory:
    description: Directory on the controller that is written to. Required when O(state=exported).
    type: str
  payload:
    description: What the controller made of O(content). Set by the action plugin.
    type: str
notes:
  - Names that only one object may have are passed on within a run in the right order; two that are swapped are refused.
  - The files are read on the controller, and Grafana is asked by the host of the task, so that it needs no address but
    its own.
"""

EXAMPLES = r"""
- name: Bring Grafana to what the repository says
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    content:
      - directory: grafana
      - file: alerts/redis.yml
        folder: Databases
        datasource_uid: prometheus
      - objects:
          datasources:
            - {name: Prometheus, uid: prometheus, type: prometheus, url: "http://127.0.0.1:9090", isDefault: true}
    environment:
      DISCORD_WEBHOOK: "{{ discord_webhook }}"

- name: Take over the provisioning directory that containers used, and delete what is taken out of it later
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    content:
      - directory: compose/grafana/provisioning
        paths: {/var/lib/grafana/dashboards: compose/grafana/dashboards}
    prune: [dashboard, rule_group, contact_point]

- name: Write what Grafana has into files
  hippius.monitoring.grafana_content:
    password: "{{ grafana_admin_password }}"
    state: exported
    export_directory: exported
"""

RETURN = r"""
changes:
  description: What was written, or in check mode would be, in order.
  returned: when state is present
  type: list
  elements: dict
  sample: [{kind: dashboard, identity: redis, action: update, source: "grafana/dashboards/redis.json:1"}]
counts:
  description: Number of objects created, updated, kept and deleted, for each kind.
  returned: when state is present
  type: dict
  sample: {dashboard: {create: 0, update: 1, keep: 29, delete: 0}}
token_changed:
  description: Whether a token was made, or in check mode would be.
  returned: when state is present and token_path is given
  type: bool
problems:
  description: All that is wrong with the content, each with file and line.
  returned: when the content is wrong
  type: list
  elements: str
files:
  description: The files that were written, or would be, below the directory.
  returned: when state is exported
  type: list
  elements: str
variables:
  description: Variables in the files that stand for secrets. The environment must have them when the files are used.
  returned: when state is exported
  type: list
  elements: str
"""

from ..module_utils.grafana import payload
from ..module_utils.grafana.api import service_account
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


def client(params: dict, check: bool) -> tuple:
    """A client, and whether a token was made for it; without a file for one it logs in as the options say."""
    where = params["token_path"]
    if not where:
        return connect(params, check), {}

    def with_token(token: str) -> service_account.Client:
        return connect({**params, "password": None, "token": token}, check)

    token = service_account.working_token(with_token, where)
    if token:
        return with_token(token), {"token_changed": False}
    account = service_account.Account(params["service_account"], "Admin", token_path=where)
    service_account.converge(connect(params, check), with_token, account, check)
    return connect(params, check), {"token_changed": True, "changed": True}


def present(module: QuietModule) -> dict:
    """Make Grafana have what is wanted."""
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
    connected, made = client(params, module.check_mode)
    result = reconcile(connected, desired, options)
    return {**result.values(), **made, "warnings": result.warnings}


def exported(module: QuietModule) -> dict:
    """What Grafana has, as files that the controller writes."""
    connected, _made = client(module.params, True)
    return {"changed": False, "payload": payload.encode(exporting.files(read_existing(connected)))}


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={**CONNECTION, **PROVENANCE, **OPTIONS}, supports_check_mode=True, **ONE_LOGIN
    )
    act = present if module.params["state"] == "present" else exported
    finish(module, lambda: act(module))


if __name__ == "__main__":
    main()
