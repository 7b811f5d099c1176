# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation fragments of the modules for Grafana."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments hippius.monitoring.grafana, .grafana.state and .grafana.provenance."""

    DOCUMENTATION = r"""
options:
  grafana_url:
    description: URL of Grafana from the host on which the module runs, with the path of a subpath
      installation.
    type: str
    default: http://127.0.0.1:3000
  username:
    description: User name for O(password).
    type: str
    default: admin
  password:
    description: Password of O(username). Required unless O(token) is given, exclusive with it.
    type: str
  token:
    description: Token of a service account, which belongs to one organization.
    type: str
  org_id:
    description: ID of the organization. V(0) is the current one of the user or token.
    type: int
    default: 0
  validate_certs:
    description: Whether to verify the server's certificate.
    type: bool
    default: true
  ca_path:
    description: File of the certificate authority of the server's certificate. Without it the
      authorities of the system are used.
    type: path
    default: ""
  client_cert:
    description: File of a client certificate, which may also contain its key.
    type: path
    default: ""
  client_key:
    description: File of the private key of O(client_cert).
    type: path
    default: ""
  timeout:
    description:
      - Timeout of a request in seconds. Grafana cancels an operation when its client disconnects,
        so a short timeout fails more than it saves.
    type: int
    default: 60
  concurrency:
    description:
      - Number of parallel reads. At most two objects are written in parallel, and folders and
        alerting objects one after the other, since Grafana loses such writes otherwise.
    type: int
    default: 4
requirements:
  - requests (Python library, on the host on which the module runs)
notes:
  - Works with Grafana 11, 12 and 13.
  - The module compares desired and existing objects, and reads back what it has written. It fails
    if Grafana stored something else. Without differences it sends only reads.
  - Proxies from the environment are not used.
  - Requests to a busy Grafana are repeated for up to 60 seconds, in check mode up to 10. In check
    mode a Grafana that does not answer yet, or answers 502, 503 or 504, is a warning, not an error.
  - Wrong credentials end the module after one request, since Grafana locks an account after five.
attributes:
  check_mode:
    description: Reports the changes without writing.
    support: full
  diff_mode:
    description: Shows the differences, without secrets.
    support: full
"""

    STATE = r"""
options:
  state:
    description: Desired state of the object.
    type: str
    choices: [present, absent]
    default: present
"""

    PROVENANCE = r"""
options:
  editable:
    description:
      - Whether users may edit the object in Grafana's interface. Otherwise its provenance is
        C(api), and it is locked there.
      - Grafana before 13 does not make a locked object editable, except rules.
    type: bool
    default: false
  adopt:
    description:
      - Whether to replace an object that was made manually. Otherwise such an object is an error.
      - With O(editable=true) an object of this module looks like a manual one, and either is
        replaced; M(hippius.monitoring.grafana_content) records its own objects.
      - Grafana has no provenance of folders, datasources and dashboards; one with the desired uid
        is changed.
      - An object that is provisioned from a file is never changed, since Grafana would restore it
        at its next start.
    type: bool
    default: false
"""
