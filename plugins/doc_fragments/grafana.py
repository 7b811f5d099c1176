# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that the modules for Grafana share."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments hippius.monitoring.grafana, .grafana.state and .grafana.provenance."""

    DOCUMENTATION = r"""
options:
  grafana_url:
    description: Address of Grafana as the host sees it where the module runs, with the path it is served below.
    type: str
    default: http://127.0.0.1:3000
  username:
    description: User who logs in with O(password).
    type: str
    default: admin
  password:
    description: Password of O(username). Exclusive with O(token), and one of the two is needed.
    type: str
  token:
    description: Token of a service account, which belongs to one organization.
    type: str
  org_id:
    description: Number of the organization, sent with each request; V(0) is the one that the user or token is in.
    type: int
    default: 0
  validate_certs:
    description: Whether the server's certificate must be valid.
    type: bool
    default: true
  ca_path:
    description: File of the authority that signed the server's certificate, where the system does not know it.
    type: path
    default: ""
  client_cert:
    description: File of a client certificate, which may hold its key too.
    type: path
    default: ""
  client_key:
    description: File of the key of O(client_cert).
    type: path
    default: ""
  timeout:
    description:
      - Seconds to wait for an answer. Grafana cancels what it is doing when a client goes away, so a short time
        fails more than it saves.
    type: int
    default: 60
  concurrency:
    description:
      - How many objects are read at a time. At most two are written at a time, and folders and whatever notifies
        one after the other, since Grafana loses such writes otherwise.
    type: int
    default: 4
requirements:
  - requests (Python library, where the module runs)
notes:
  - Works with Grafana 11, 12 and 13.
  - Compares what was asked for with what Grafana has, reads back what it has written, and fails when Grafana has it
    otherwise. Nothing is sent but reads when nothing differs.
  - Proxies from the environment are not used.
  - A Grafana that is busy is waited for up to 60 seconds, in check mode up to 10. One that is not there yet, or answers
    502, 503 or 504, is warned of in check mode, and no error.
  - Wrong credentials end the module after one request, since Grafana locks an account after five.
attributes:
  check_mode:
    description: Plans without writing.
    support: full
  diff_mode:
    description: Shows what differs, without secrets.
    support: full
"""

    STATE = r"""
options:
  state:
    description: Whether the object should be there.
    type: str
    choices: [present, absent]
    default: present
"""

    PROVENANCE = r"""
options:
  editable:
    description:
      - Whether people may edit the object in Grafana's interface. Otherwise its provenance is C(api), and it is
        locked
        there.
      - Grafana before 13 does not make an object editable that was not, but for rules.
    type: bool
    default: false
  adopt:
    description:
      - Whether an object that was made by hand may be replaced. Without it such an object makes the module fail.
      - With O(editable=true) an object of this module looks as if it was made by hand, and either is replaced;
        M(hippius.monitoring.grafana_content) knows its own.
      - Grafana does not know who made a folder, a datasource or a dashboard; one with the wanted uid is changed.
      - What is provisioned from a file is never touched, since Grafana would bring it back at its next start.
    type: bool
    default: false
"""
