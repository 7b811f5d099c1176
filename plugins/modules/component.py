#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roll out a monitoring component on this host as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Roll out a component as one transaction
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Installs a release, its configuration and its systemd units on a host as one transaction, or
    removes them.
  - The module observes the host, plans, stages the release and a new I(generation) of configuration
    and units, runs the new release's own checker on the staged configuration, switches by renaming
    one link, reloads or restarts, and verifies that the program accepted the change. Any failure
    after the switch rolls back to the last-known-good generation.
  - The plan is derived from the running processes and the files on disk, never from the changes of
    this run, so the next run completes one that was killed.
  - Runs with the system's Python and its standard library only, requires no facts, and uses one
    process per call.
  - The action plugin of the same name runs on the controller. It reads the release from the lock
    file (variable C(monitoring_releases_lock)), reads O(config[].source) and O(scripts[].source),
    renders dicts as YAML, and copies archives from C(monitoring_archives_dir) to a host that lacks
    them.
notes:
  - A release is unpacked to C(/opt/monitoring/releases/<release>-<version>-<sha8>), a generation is
    written to C(/opt/monitoring/components/<name>/generations/<n>-<id>), C(current) links to the
    active one, and C(/etc/<name>) links to its configuration. Data is in C(/var/lib/<name>), which
    no rollout changes.
  - With O(instances), C(<name>) is the component's name, a dash, and the instance's name.
  - "These placeholders are replaced in O(command), O(check), O(environment), O(unit) and O(units):
    C({etc}) by C(/etc/<name>), C({release}) by the stable path of the running release, C({bin}) by
    the directory of O(scripts), C({data}) by C(/var/lib/<name>), and C({name}) by C(<name>)."
  - "The main unit, over which O(unit) is merged: C(Type=exec), C(Restart=always) every two seconds
    without a limit, C(TimeoutStopSec=90), C(StateDirectory=<name>), C(LimitNOFILE=65536),
    C(WantedBy=multi-user.target), after C(network-online.target); C(ProtectSystem=strict),
    C(ProtectHome), C(ProtectProc=invisible), C(PrivateDevices), C(PrivateTmp),
    C(PrivateUsers), C(NoNewPrivileges), no capabilities, C(MemoryDenyWriteExecute),
    C(SystemCallFilter=@system-service) without C(@privileged) and C(@resources),
    C(RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX), C(RestrictNamespaces), C(UMask=0077) and
    the other C(Protect) directives. C(systemctl cat <name>) shows it."
  - A further service of O(units) is for a timer, path or socket to start. The module neither starts
    nor restarts it.
  - O(check) may take 60 seconds. Without O(ready), a restarted unit has 40 seconds to become active
    and listen.
  - Archives are downloaded from the mirrors in C(monitoring_mirrors), if it is set.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description:
      - The plan is the same. The new release's own checker runs on a temporary copy of the
        configuration below C(/run), unless the release or the user is missing, which a notice
        reports.
    support: full
  diff_mode:
    description: Every file and unit that would change, except secrets.
    support: full
options:
  # Options of an instance as well, through this anchor.
  <<: &instance_options
    description:
      description: Description of the unit.
      type: str
    command:
      description:
        - Program and arguments of the main unit.
        - Required when O(state=present), of the component or of each instance.
      type: list
      elements: str
    config:
      description:
        - Configuration files below C(/etc/<name>), owned by root and readable by the component's
          group.
      type: list
      elements: dict
      suboptions:
        path:
          description: Path relative to C(/etc/<name>).
          type: str
          required: true
        content:
          description:
            - Content of the file. A string is written unchanged.
            - The action plugin renders a dict or list as YAML.
          type: raw
        source:
          description:
            - File on the controller that is copied unchanged, without templating.
            - Overrides O(config[].content) unless it is empty.
          type: path
        on_change:
          description:
            - Action on the main unit after a change of this file. V(reload) becomes a restart
              without O(reload).
            - V(none) is for files that the program watches by itself.
          type: str
          choices: [reload, restart, none]
          default: reload
    secrets:
      description:
        - Secret files below C(/etc/<name>), as a dict of relative path to content, with mode 0640.
        - They are never shown. A change is detected by a fingerprint that is keyed with a secret of
          the host.
        - A change of a secret restarts the main unit.
      type: dict
    scripts:
      description: Scripts of the component itself, installed with mode 0755 in C({bin}).
      type: list
      elements: dict
      suboptions:
        path:
          description: File name.
          type: str
          required: true
        content:
          description: Content of the script.
          type: str
        source:
          description: File on the controller, searched for in the role's C(files) as well.
          type: path
        on_change:
          description:
            - Action on the main unit after a change of this script; V(none) is for scripts that
              only another unit runs.
          type: str
          choices: [reload, restart, none]
          default: none
    environment:
      description: Environment of the main unit. Every user can read it, so it is not for secrets.
      type: dict
    unit:
      description:
        - Sections of the main unit as dicts of directive to value, merged over the hardened base.
        - A list is written as one line per value; null removes a directive of the base.
      type: dict
    units:
      description:
        - Further units of the component, as a dict of file name to sections. Names start with
          C(<name>-).
        - Services get the same hardened base; timers, paths and sockets are started and kept
          running.
      type: dict
    check:
      description:
        - Command that checks the staged configuration before anything is switched, run as the
          component's user with the staged files in place of C(/etc/<name>).
      type: list
      elements: str
    check_ignore_pattern:
      description:
        - Regular expression for checkers that fail on warnings. A failure is ignored when every
          line of the output matches.
      type: str
    listen_addresses:
      description:
        - Addresses C(host:port) on which the main process listens.
        - A port that another process holds is refused before anything is changed. After a restart
          each port must belong to the unit.
      type: list
      elements: str
    ready:
      description:
        - Request by which the program reports that it is ready. Without it, a unit that stays
          active counts as ready.
      type: dict
      suboptions:
        # Of O(reload) as well, through this anchor.
        <<: &probe_options
          username:
            description: User for basic authentication.
            type: str
          password_file:
            description:
              - File of O(config) or O(secrets) that contains the password. Required with
                C(username).
            type: str
          certificate_file:
            description:
              - File of O(config) or O(secrets) that is presented as client certificate.
              - The program's own certificate is not verified, since its socket is known to belong
                to the unit.
            type: str
          key_file:
            description:
              - File of O(config) or O(secrets) that contains the key of C(certificate_file), with
                which it is required.
            type: str
        url:
          description: URL that answers with a 2xx status once the program is ready.
          type: str
          required: true
        timeout:
          description: Seconds to wait until the program is ready.
          type: int
          default: 60
    reload:
      description:
        - Metrics by which the program reports a successful reload. Without them every change is a
          restart.
        - The unit is reloaded by C(SIGHUP) unless O(unit) sets C(ExecReload).
      type: dict
      suboptions:
        <<: *probe_options
        url:
          description: URL of the program's own metrics.
          type: str
          required: true
        success:
          description: Metric that is 1 after a successful reload.
          type: str
          required: true
        timestamp:
          description: Metric with the time of the last successful reload; it must change.
          type: str
          required: true
        timeout:
          description: Seconds to wait for a successful reload.
          type: int
          default: 30
  name:
    description:
      - Name of the component and of its directory, user, group and unit.
      - Lower-case letters, digits and dashes.
    type: str
    required: true
  state:
    description:
      - V(present) rolls out the component.
      - V(absent) stops, disables and removes it. Data and user stay unless O(purge=true).
      - V(previous) activates the generation that was verified before the last rollout, verifies it,
        and returns to the current one when that fails. All instances go back together, except one
        that the last rollout did not change; one that it removed is not restored. Repeating it has
        no effect until the next rollout.
    type: str
    choices: [present, absent, previous]
    default: present
  release:
    description: Release to run. Required when O(state=present).
    type: dict
    suboptions:
      name:
        description:
          - Name of the release in the lock file.
          - The only file of an archive, or a file that is not an archive, is installed as
            C({release}/<release name>).
        type: str
        required: true
      version:
        description: Version of the release.
        type: str
        required: true
      archives:
        description:
          - Archives as a dict of architecture (V(amd64), V(arm64)) to C(urls), which are tried in
            order, and C(sha256). C(missing) is the controller's path of an archive that it lacks
            while downloads are not allowed.
          - Set by the action plugin from the lock file.
        type: dict
        default: {}
      pushed:
        description: Path on this host of an archive from the controller; set by the action plugin.
        type: path
      pushable:
        description:
          - Architectures whose archive is on the controller; set by the action plugin.
        type: list
        elements: str
        default: []
  instances:
    description:
      - Instances of one release, rolled out as one transaction. An option that an instance omits is
        that of the component.
      - An instance of this component that is no longer listed is removed.
    type: list
    elements: dict
    suboptions:
      <<: *instance_options
      name:
        description: Name of the instance, appended to the component's with a dash.
        type: str
        required: true
  adopt:
    description:
      - Take over an existing C(/etc/<name>) or unit of that name that this collection did not
        create.
      - A copy is kept below C(/opt/monitoring/edited/<name>).
      - By default the variable C(monitoring_adopt) decides; C(-e monitoring_adopt=true) applies to
        every role.
    type: bool
    default: false
  purge:
    description: Remove data and user as well when O(state=absent).
    type: bool
    default: false
  lock_owner:
    description:
      - Name of this run, shown to other runs that wait for the component's lock; set by the action
        plugin.
    type: str
  lock_timeout:
    description: Seconds to wait while another run holds the component's lock on the host.
    type: int
    default: 60
  _prune:
    description: Internal; set by the action plugin of M(hippius.monitoring.component_prune).
    type: dict
seealso:
  - module: hippius.monitoring.component_prune
"""

EXAMPLES = r"""
- name: Roll out Loki
  hippius.monitoring.component:
    name: loki
    release: {name: loki, version: 3.7.8}
    command: ["{release}/loki", "-config.file={etc}/loki-config.yml"]
    config:
      - path: loki-config.yml
        content: "{{ loki_settings }}"
    check: ["{release}/loki", "-config.file={etc}/loki-config.yml", "-verify-config"]
    listen_addresses: [127.0.0.1:3100]
    ready: {url: "http://127.0.0.1:3100/ready", timeout: 90}

- name: Roll out two exporters of one release
  hippius.monitoring.component:
    name: redis-exporter
    release: {name: redis_exporter, version: 1.86.0}
    instances:
      - name: main
        command:
          - "{release}/redis_exporter"
          - --redis.addr=127.0.0.1:6379
          - --web.listen-address=127.0.0.1:9121
        listen_addresses: [127.0.0.1:9121]
      - name: accounts
        command:
          - "{release}/redis_exporter"
          - --redis.addr=127.0.0.1:6380
          - --web.listen-address=127.0.0.1:9122
        secrets: {passwords.json: "{{ redis_accounts_passwords | to_json }}"}
        listen_addresses: [127.0.0.1:9122]

- name: Roll Loki back to the state before the last rollout
  hippius.monitoring.component:
    name: loki
    state: previous

- name: Remove Loki and keep its data
  hippius.monitoring.component:
    name: loki
    state: absent
"""

RETURN = r"""
action:
  description:
    - The strongest action of all instances.
    - V(switch) activates a generation without a signal to the running program, such as a changed
      timer.
  returned: success
  type: str
  sample: reload
  choices: [none, switch, remove, reload, restart, install]
instances:
  description: Result of each C(<name>).
  returned: success
  type: dict
  contains:
    action:
      description: Action of the run; in check mode the planned one.
      type: str
    reasons:
      description: Reasons for the action.
      type: list
      elements: str
    generation:
      description:
        - Active generation after the run. In check mode the current one, or when O(state=previous)
          the one to roll back to.
      type: str
    previous:
      description: Active generation before the run.
      type: str
    release:
      description: Active release.
      type: str
archive_required:
  description:
    - Architecture whose archive the action plugin must copy to the host before it runs the module
      again.
  returned: when the host lacks a release that the controller has
  type: str
rolled_back:
  description: Names whose previous generation was restored, since the new one failed verification.
  returned: on failure
  type: list
  elements: str
notices:
  description: Skipped checks and kept files, which the action plugin shows as warnings.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ..module_utils.component import removal, spec, transaction
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

STRING = {"type": "str"}
REQUIRED_STRING = {"type": "str", "required": True}
STRINGS = {"type": "list", "elements": "str"}
DICT = {"type": "dict"}
ON_CHANGE = ["reload", "restart", "none"]
FILE = {
    "path": REQUIRED_STRING,
    "source": {"type": "path"},
}
CONFIG = {
    **FILE,
    "content": {"type": "raw"},
    "on_change": {"type": "str", "choices": ON_CHANGE, "default": "reload"},
}
SCRIPT = {
    **FILE,
    "content": STRING,
    "on_change": {"type": "str", "choices": ON_CHANGE, "default": "none"},
}
PROBE = {
    "url": REQUIRED_STRING,
    # The name of a file is not secret.
    **{name: {"type": "str", "no_log": False} for name in spec.CREDENTIALS},
}
READY = {
    **PROBE,
    "timeout": {"type": "int", "default": 60},
}
RELOAD = {
    **PROBE,
    "success": REQUIRED_STRING,
    "timestamp": REQUIRED_STRING,
    "timeout": {"type": "int", "default": 30},
}
# Options without defaults, since an instance that omits one has the component's.
INSTANCE = {
    "description": STRING,
    "command": STRINGS,
    "config": {"type": "list", "elements": "dict", "options": CONFIG},
    "secrets": {"type": "dict", "no_log": True},
    "scripts": {"type": "list", "elements": "dict", "options": SCRIPT},
    "environment": DICT,
    "unit": DICT,
    "units": DICT,
    "check": STRINGS,
    "check_ignore_pattern": STRING,
    "listen_addresses": STRINGS,
    "ready": {"type": "dict", "options": READY},
    "reload": {"type": "dict", "options": RELOAD},
}
NAMED_INSTANCE = {
    "name": REQUIRED_STRING,
    **INSTANCE,
}
RELEASE = {
    "name": REQUIRED_STRING,
    "version": REQUIRED_STRING,
    "archives": {"type": "dict", "default": {}},
    "pushed": {"type": "path"},
    "pushable": {"type": "list", "elements": "str", "default": []},
}
STATES = ["present", "absent", "previous"]
OPTIONS = {
    "name": REQUIRED_STRING,
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "release": {"type": "dict", "options": RELEASE},
    **INSTANCE,
    "instances": {"type": "list", "elements": "dict", "options": NAMED_INSTANCE},
    "adopt": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "lock_owner": STRING,
    "lock_timeout": {"type": "int", "default": 60},
    "_prune": DICT,
}


def apply(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Roll out, roll back, remove or prune; return the module's values."""
    if params["_prune"]:
        return removal.prune({**params, **params["_prune"]}, check_mode)
    if params["state"] == "absent":
        return removal.absent(params, check_mode)
    if params["state"] == "previous":
        # Loading it costs time, and most runs do not need it.
        from ..module_utils.component import rollback

        return transaction.summary(rollback.roll_back(params, check_mode))
    return transaction.summary(transaction.roll_out(params, check_mode))


def main() -> None:
    """Run the module."""
    required_if = [("state", "present", ["release"])]
    run(QuietModule(OPTIONS, supports_check_mode=True, required_if=required_if), apply)


if __name__ == "__main__":
    main()
