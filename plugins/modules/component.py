#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roll a monitoring component out to this host as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Roll a component out as one transaction
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Brings a release, its configuration and its systemd units to a host as one transaction, or removes them.
  - The module observes the host, plans, stages the release and a new I(generation) of configuration and units,
    lets the new release's own checker judge the staged configuration, switches by renaming one link, reloads or
    restarts, and proves that the program took the change. Any failure after the switch rolls back to the last
    proven generation.
  - What must happen is decided from what runs and what is on disk, never from what this run happened to change,
    so a run that was killed is finished by the next one.
  - Runs with the system's Python and its standard library only, needs no facts, and uses one process a call.
  - The action plugin of the same name runs on the controller. It looks the release up in the lock file
    (variable C(monitoring_releases_lock)), reads O(config[].source) and O(scripts[].source), renders mappings
    as YAML, and brings archives from C(monitoring_archives_dir) when the host lacks them.
notes:
  - A release is unpacked to C(/opt/monitoring/releases/<release>-<version>-<sha8>), a generation is written to
    C(/opt/monitoring/components/<name>/generations/<n>-<id>), C(current) links to the one in force, and
    C(/etc/<name>) links to its configuration. Data lives in C(/var/lib/<name>) and no rollout touches it.
  - With O(instances), C(<name>) is the component's name, a dash, and the instance's name.
  - "In O(command), O(check), O(environment), O(unit) and O(units) these placeholders are replaced: C({etc}) by
    C(/etc/<name>), C({release}) by the directory of the running release (a stable path), C({bin}) by the directory
    of O(scripts), C({data}) by C(/var/lib/<name>), and C({name}) by C(<name>)."
  - "The main unit, over which O(unit) is merged: C(Type=exec), C(Restart=always) every two seconds without a limit,
    C(TimeoutStopSec=90), C(StateDirectory=<name>), C(LimitNOFILE=65536), C(WantedBy=multi-user.target), after
    C(network-online.target); C(ProtectSystem=strict), C(ProtectHome), C(ProtectProc=invisible), C(ProcSubset=pid),
    C(PrivateDevices), C(PrivateTmp), C(PrivateUsers), C(NoNewPrivileges), no capabilities,
    C(MemoryDenyWriteExecute), C(SystemCallFilter=@system-service) without C(@privileged) and C(@resources),
    C(RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX), C(RestrictNamespaces), C(UMask=0077) and the other C(Protect)
    directives. C(systemctl cat <name>) shows it."
  - A further service of O(units) is there for a timer, path or socket to start. It is neither started nor restarted.
  - O(check) may take 60 seconds. Without O(ready), a restarted unit has 40 seconds to be active and to listen.
  - Archives are looked for below the addresses in C(monitoring_mirrors), where that is set.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description:
      - The plan is the same one. The configuration is judged by the wanted release's own checker, from a copy below
        C(/run) that is gone afterwards; a notice says so where the release or the user is not there yet.
    support: full
  diff_mode:
    description: Every file and unit that would change, with secrets left out.
    support: full
options:
  name:
    description:
      - Name of the component, used for its directory, user, group and unit.
      - Lower-case letters, digits and dashes.
      - Required but with O(state=swept).
    type: str
  state:
    description:
      - V(present) rolls the component out.
      - V(absent) stops, disables and removes it. Data and user stay unless O(purge=true).
      - V(previous) brings back the generation that was proven before the last rollout, proves it, and returns to the
        present one when that fails. All instances go back together; one that the last rollout did not change stays
        as it is, and one that it removed does not come back. Done once, it is done until the next rollout.
      - V(pruned) is what M(hippius.monitoring.component_prune) does, by which it is documented. That one runs this
        module, since Ansible takes longer to pack a second one than it takes to run.
    type: str
    choices: [present, absent, previous, swept]
    default: present
  release:
    description: What to run. Required with O(state=present).
    type: dict
    suboptions:
      name:
        description:
          - Name of the release in the lock file.
          - The only file of an archive, or a file that is no archive, is installed as C({release}/<release name>).
        type: str
        required: true
      version:
        description: Version of the release.
        type: str
        required: true
      archives:
        description:
          - For each architecture (V(amd64), V(arm64)) a mapping of C(urls), tried in turn, and C(sha256). Where
            nothing may be downloaded C(missing) is what the controller lacks.
          - Filled in by the action plugin from the lock file.
        type: dict
        default: {}
      pushed:
        description: Path on this host of an archive brought from the controller; set by the action plugin.
        type: path
      pushable:
        description: Architectures that the action plugin could bring from the controller; set by it.
        type: list
        elements: str
        default: []
  description:
    description: Description of the unit.
    type: str
  command:
    description: Program and arguments of the main unit. Required with O(state=present) without O(instances).
    type: list
    elements: str
  config:
    description: Configuration files below C(/etc/<name>), owned by root, readable by the component's group.
    type: list
    elements: dict
    suboptions:
      path:
        description: Path relative to C(/etc/<name>).
        type: str
        required: true
      content:
        description:
          - Content of the file. A string is written as it is.
          - A mapping or list is written as YAML by the action plugin.
        type: raw
      source:
        description:
          - File on the controller that is rolled out as it is, without templating.
          - Wins over O(config[].content) when it is not empty.
        type: path
      on_change:
        description:
          - What a change of this file needs. V(reload) falls back to a restart where O(reload) is not given.
          - V(none) is for files that the program watches by itself.
        type: str
        choices: [reload, restart, none]
        default: reload
  secrets:
    description:
      - Secret files below C(/etc/<name>), as a mapping of relative path to content, written with mode 0640.
      - They are never shown, and a change is told by a fingerprint that is keyed with a secret of the host.
      - A change of one needs a restart.
    type: dict
  scripts:
    description: Small programs of the component's own, installed with mode 0755 in C({bin}).
    type: list
    elements: dict
    suboptions:
      path:
        description: File name.
        type: str
        required: true
      content:
        description: Content of the program.
        type: str
      source:
        description: File on the controller, searched for in the role's C(files) too.
        type: path
      on_change:
        description: What a change of this program needs of the main unit; V(none) where only another unit runs it.
        type: str
        choices: [reload, restart, none]
        default: none
  environment:
    description: Environment of the main unit. Not for secrets, since units can be read by every user.
    type: dict
  unit:
    description:
      - Sections of the main unit as mappings of directive to value, merged over the hardened base.
      - A list is written as one line a value; null takes a directive of the base away.
    type: dict
  units:
    description:
      - Further units of the component, as a mapping of file name to sections. Names start with C(<name>-).
      - Services get the same hardened base, timers, paths and sockets are started and kept running.
    type: dict
  check:
    description:
      - Command that judges the staged configuration before anything is switched, run as the component's user with
        the staged files in place of C(/etc/<name>).
    type: list
    elements: str
  check_ignore_pattern:
    description:
      - Regular expression. A checker that fails is believed only when a line of its output does not match, for
        checkers that fail on warnings.
    type: str
  listen_addresses:
    description:
      - Addresses C(host:port) that the main process opens.
      - A port that another process holds is refused before anything is changed, and after a restart each must
        belong to the unit.
    type: list
    elements: str
  ready:
    description: How the program says that it is ready. Without it, a unit that stays active is taken as ready.
    type: dict
    suboptions:
      url:
        description: URL that answers with a 2xx status once the program is ready.
        type: str
        required: true
      username:
        description: User of basic authentication, where the program wants one.
        type: str
      password_file:
        description:
          - The one of O(config) and O(secrets) that holds the password of O(ready.username).
        type: str
      certificate_file:
        description:
          - The one of O(config) and O(secrets) that is shown as client certificate where the program wants one.
          - The program's own certificate is not verified. Its socket was found to belong to the unit.
        type: str
      key_file:
        description: The one of O(config) and O(secrets) with the key of O(ready.certificate_file).
        type: str
      timeout:
        description: Seconds to wait for it.
        type: int
        default: 60
  reload:
    description:
      - How the program proves a reload. Without it every change is a restart.
      - The unit is reloaded by C(SIGHUP) unless O(unit) sets C(ExecReload).
    type: dict
    suboptions:
      url:
        description: URL of the program's own metrics.
        type: str
        required: true
      username:
        description: User of basic authentication, where the program wants one.
        type: str
      password_file:
        description:
          - The one of O(config) and O(secrets) that holds the password of O(reload.username).
        type: str
      certificate_file:
        description:
          - The one of O(config) and O(secrets) that is shown as client certificate where the program wants one.
          - The program's own certificate is not verified. Its socket was found to belong to the unit.
        type: str
      key_file:
        description: The one of O(config) and O(secrets) with the key of O(reload.certificate_file).
        type: str
      success:
        description: Metric that is 1 after a successful reload.
        type: str
        required: true
      timestamp:
        description: Metric that holds the time of the last successful reload; it must advance.
        type: str
        required: true
      timeout:
        description: Seconds to wait for the proof.
        type: int
        default: 30
  instances:
    description:
      - Instances of one release, handled as one transaction. What an instance leaves out is the component's.
      - An instance of this component that is no longer listed is removed.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the instance, appended to the component's with a dash.
        type: str
        required: true
      description:
        description: Description of the unit.
        type: str
      command:
        description: Like O(command).
        type: list
        elements: str
      config:
        description: Like O(config).
        type: list
        elements: dict
        suboptions:
          path:
            description: Like O(config[].path).
            type: str
            required: true
          content:
            description: Like O(config[].content).
            type: raw
          source:
            description: Like O(config[].source).
            type: path
          on_change:
            description: Like O(config[].on_change).
            type: str
            choices: [reload, restart, none]
            default: reload
      secrets:
        description: Like O(secrets).
        type: dict
      scripts:
        description: Like O(scripts).
        type: list
        elements: dict
        suboptions:
          path:
            description: Like O(scripts[].path).
            type: str
            required: true
          content:
            description: Like O(scripts[].content).
            type: str
          source:
            description: Like O(scripts[].source).
            type: path
          on_change:
            description: Like O(scripts[].on_change).
            type: str
            choices: [reload, restart, none]
            default: none
      environment:
        description: Like O(environment).
        type: dict
      unit:
        description: Like O(unit).
        type: dict
      units:
        description: Like O(units).
        type: dict
      check:
        description: Like O(check).
        type: list
        elements: str
      check_ignore_pattern:
        description: Like O(check_ignore_pattern).
        type: str
      listen_addresses:
        description: Like O(listen_addresses).
        type: list
        elements: str
      ready:
        description: Like O(ready).
        type: dict
        suboptions:
          url:
            description: Like O(ready.url).
            type: str
            required: true
          username:
            description: Like O(ready.username).
            type: str
          password_file:
            description: Like O(ready.password_file).
            type: str
          certificate_file:
            description: Like O(ready.certificate_file).
            type: str
          key_file:
            description: Like O(ready.key_file).
            type: str
          timeout:
            description: Like O(ready.timeout).
            type: int
            default: 60
      reload:
        description: Like O(reload).
        type: dict
        suboptions:
          url:
            description: Like O(reload.url).
            type: str
            required: true
          username:
            description: Like O(reload.username).
            type: str
          password_file:
            description: Like O(reload.password_file).
            type: str
          certificate_file:
            description: Like O(reload.certificate_file).
            type: str
          key_file:
            description: Like O(reload.key_file).
            type: str
          success:
            description: Like O(reload.success).
            type: str
            required: true
          timestamp:
            description: Like O(reload.timestamp).
            type: str
            required: true
          timeout:
            description: Like O(reload.timeout).
            type: int
            default: 30
  adopt:
    description:
      - Take over an existing C(/etc/<name>) or unit of that name that this collection did not make.
      - A copy is kept below C(/opt/monitoring/edited/<name>).
      - Without this option, variable C(monitoring_adopt) decides; C(-e monitoring_adopt=true) reaches every role.
    type: bool
    default: false
  purge:
    description: With O(state=absent), remove data and user as well.
    type: bool
    default: false
  keep:
    description: With O(state=swept), names of the components that the host should have.
    type: list
    elements: str
  known:
    description: With O(state=swept), names of the components that may be removed when they are not to be kept.
    type: list
    elements: str
  prune_max:
    description: With O(state=swept), refuse, and remove nothing, when more components than this would go.
    type: int
    default: 1
  lock_owner:
    description: Who runs this, for the message to others that find the component locked; set by the action plugin.
    type: str
  lock_timeout:
    description: Seconds to wait while another run holds this component on the host.
    type: int
    default: 60
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
        command: ["{release}/redis_exporter", "--redis.addr=127.0.0.1:6379", "--web.listen-address=127.0.0.1:9121"]
        listen_addresses: [127.0.0.1:9121]
      - name: accounts
        command: ["{release}/redis_exporter", "--redis.addr=127.0.0.1:6380", "--web.listen-address=127.0.0.1:9122"]
        secrets: {passwords.json: "{{ redis_accounts_passwords | to_json }}"}
        listen_addresses: [127.0.0.1:9122]

- name: Return to how Loki was before the last rollout
  hippius.monitoring.component:
    name: loki
    state: previous

- name: Remove Loki but keep its data
  hippius.monitoring.component:
    name: loki
    state: absent
"""

RETURN = r"""
action:
  description:
    - The strongest of the instances' actions.
    - V(switch) brings a new generation into force that the running program need not be told of, such as a timer.
  returned: success
  type: str
  sample: reload
  choices: [none, switch, remove, reload, restart, install]
instances:
  description: For each C(<name>) what happened.
  returned: success
  type: dict
  contains:
    action:
      description: What was done, or would be done in check mode.
      type: str
    reasons:
      description: Why, in words.
      type: list
      elements: str
    generation:
      description:
        - Generation in force after the run. In check mode the current one, or with O(state=previous) the one to return
          to.
      type: str
    previous:
      description: Generation in force before the run.
      type: str
    release:
      description: Release in force.
      type: str
archive_wanted:
  description: Architecture whose archive the action plugin must bring; it does so and runs the module again.
  returned: when the host lacks a release that the controller has
  type: str
rolled_back:
  description: Names whose previous generation was put back because the new one could not be proven.
  returned: on failure
  type: list
  elements: str
notices:
  description: What could not be checked, or what was kept. The action plugin shows it as warnings.
  returned: always
  type: list
  elements: str
"""

from ..module_utils.component import removal, spec, transaction
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

FILE = {"path": {"type": "str", "required": True}, "source": {"type": "path"}}
ON_CHANGE = ["reload", "restart", "none"]
# A file's name is not secret.
CREDENTIALS = {key: {"type": "str", "no_log": False} for key in spec.CREDENTIALS}
# What an instance may have of its own. There are no defaults here, since what it leaves out is the component's.
OF_AN_INSTANCE = {
    "description": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "config": {
        "type": "list",
        "elements": "dict",
        "options": {
            **FILE,
            "content": {"type": "raw"},
            "on_change": {"type": "str", "choices": ON_CHANGE, "default": "reload"},
        },
    },
    "secrets": {"type": "dict", "no_log": True},
    "scripts": {
        "type": "list",
        "elements": "dict",
        "options": {
            **FILE,
            "content": {"type": "str"},
            "on_change": {"type": "str", "choices": ON_CHANGE, "default": "none"},
        },
    },
    "environment": {"type": "dict"},
    "unit": {"type": "dict"},
    "units": {"type": "dict"},
    "check": {"type": "list", "elements": "str"},
    "check_ignore_pattern": {"type": "str"},
    "listen_addresses": {"type": "list", "elements": "str"},
    "ready": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            **CREDENTIALS,
            "timeout": {"type": "int", "default": 60},
        },
    },
    "reload": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            **CREDENTIALS,
            "success": {"type": "str", "required": True},
            "timestamp": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 30},
        },
    },
}
OPTIONS = {
    "name": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "absent", "previous", "pruned"],
        "default": "present",
    },
    "release": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "archives": {"type": "dict", "default": {}},
            "pushed": {"type": "path"},
            "pushable": {"type": "list", "elements": "str", "default": []},
        },
    },
    **OF_AN_INSTANCE,
    "instances": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **OF_AN_INSTANCE},
    },
    "adopt": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "keep": {"type": "list", "elements": "str"},
    "known": {"type": "list", "elements": "str"},
    "prune_max": {"type": "int", "default": 1},
    "lock_owner": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 60},
}


def act(params: dict, check_mode: bool) -> dict:
    """Roll out, roll back or remove, as ``state`` says."""
    if params["state"] == "absent":
        return removal.absent(params, check_mode)
    if params["state"] == "pruned":
        return removal.prune(params, check_mode)
    if params["state"] == "previous":
        # Loading it costs each run time, and hardly any needs it.
        from ..module_utils.component import rollback

        return transaction.summary(rollback.roll_back(params, check_mode))
    return transaction.summary(transaction.roll_out(params, check_mode))


def main() -> None:
    """Run the module."""
    required_if = [
        ("state", "present", ["name", "release"]),
        ("state", "absent", ["name"]),
        ("state", "previous", ["name"]),
        ("state", "pruned", ["keep", "known"]),
    ]
    run(QuietModule(OPTIONS, supports_check_mode=True, required_if=required_if), act)


if __name__ == "__main__":
    main()
