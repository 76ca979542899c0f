"""What DigitalOcean's images of Debian have, as far as it matters: no DHCP, and root's key.

Where cloud-init would take addresses and key from the metadata service, the addresses are those
that it would write, and a unit of our own takes the key. DigitalOcean's agent is a login that must
not be there in the end.
"""

from clouds.shared.cloud_guest import DIGITALOCEAN

SETTINGS = f"""\
rm "$1/etc/systemd/network/80-dhcp.network"
printf '[Match]\\nType=ether\\n\\n[Network]\\nAddress={DIGITALOCEAN.address}/16\\n' \
    >"$1/etc/systemd/network/10-cloud-init-eth0.network"
printf 'Gateway=169.0.0.2\\nAddress=169.254.7.7/16\\n' \
    >>"$1/etc/systemd/network/10-cloud-init-eth0.network"
rm -f "$1/etc/resolv.conf"
echo 'nameserver 169.0.0.3' >"$1/etc/resolv.conf"
cat >"$1/usr/local/sbin/take-key" <<'PYTHON'
#!/usr/bin/python3 -IS
import time
from http.client import HTTPConnection
from pathlib import Path

def ask():
    line = HTTPConnection("169.254.169.254", timeout=30)
    line.request("GET", "/metadata/v1/public-keys")
    return line.getresponse().read().decode()

for _ in range(60):
    try:
        text = ask()
        break
    except OSError:
        time.sleep(0.5)
keys = Path("/root/.ssh/authorized_keys")
keys.parent.mkdir(mode=0o700, exist_ok=True)
keys.write_text(text + "\\n")
PYTHON
chmod 0755 "$1/usr/local/sbin/take-key"
cat >"$1/etc/systemd/system/take-key.service" <<'UNIT'
[Unit]
ConditionPathExists=!/etc/cloud/cloud-init.disabled
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/take-key
[Install]
WantedBy=multi-user.target
UNIT
cat >"$1/usr/lib/systemd/system/droplet-agent.service" <<'UNIT'
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
UNIT
chroot "$1" systemctl --quiet enable take-key.service droplet-agent.service
"""
