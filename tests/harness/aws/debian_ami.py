"""What Debian's AMIs have: a user `admin`, who may do all, with the key of the launch.

cloud-init is left out: where it would take the key from the instance's metadata, a unit of our own
does.
"""

SETTINGS = """\
chroot "$1" useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >"$1/etc/sudoers.d/admin"
cat >"$1/usr/local/sbin/take-key" <<'PYTHON'
#!/usr/bin/python3 -IS
from http.client import HTTPConnection
from pathlib import Path

def ask(method, path, headers):
    line = HTTPConnection("169.254.169.254", timeout=30)
    line.request(method, path, headers=headers)
    return line.getresponse().read().decode()

token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
path = "/latest/meta-data/public-keys/0/openssh-key"
keys = Path("/home/admin/.ssh/authorized_keys")
keys.parent.mkdir(exist_ok=True)
keys.write_text(ask("GET", path, {"X-aws-ec2-metadata-token": token}))
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
chroot "$1" systemctl --quiet enable take-key.service
"""
