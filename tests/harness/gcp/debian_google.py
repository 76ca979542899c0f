"""What Google's images of Debian have that lets somebody in, as far as it matters.

Google's agent makes each user of the metadata's `ssh-keys`, who may do all; OS Login is switched on
as far as files go. The units have Google's names, and lie where its packages put them.
https://github.com/GoogleCloudPlatform/guest-agent, https://github.com/GoogleCloudPlatform/guest-oslogin
"""

SETTINGS = r"""
cat >"$1/usr/bin/google_guest_agent" <<'PYTHON'
#!/usr/bin/python3 -IS
import subprocess
from http.client import HTTPConnection
from pathlib import Path

line = HTTPConnection("169.254.169.254", timeout=30)
place = "/computeMetadata/v1/instance/attributes/ssh-keys"
line.request("GET", place, headers={"Metadata-Flavor": "Google"})
answer = line.getresponse()
text = answer.read().decode() if answer.status == 200 else ""
subprocess.run(["groupadd", "--force", "google-sudoers"], check=True)
for user, _, key in (entry.partition(":") for entry in text.splitlines()):
    if subprocess.run(["id", user], capture_output=True, check=False).returncode:
        words = ["--create-home", "--shell", "/bin/bash", "--groups", "google-sudoers", user]
        subprocess.run(["useradd", *words], check=True)
    folder = Path("/home", user, ".ssh")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(f"{key}\n")
    subprocess.run(["chown", "-R", f"{user}:", str(folder)], check=True)
PYTHON
chmod 0755 "$1/usr/bin/google_guest_agent"
echo '%google-sudoers ALL=(ALL:ALL) NOPASSWD:ALL' >"$1/etc/sudoers.d/google_sudoers"
for name in google-guest-agent google-guest-agent-manager google-startup-scripts \
    google-shutdown-scripts google-osconfig-agent google-oslogin-cache; do
    starts=/usr/bin/true
    [ "$name" != google-guest-agent-manager ] || starts=/usr/bin/google_guest_agent
    cat >"$1/usr/lib/systemd/system/$name.service" <<UNIT
[Unit]
Wants=network-online.target
After=network-online.target
[Service]
Type=oneshot
ExecStart=$starts
[Install]
WantedBy=multi-user.target
UNIT
    chroot "$1" systemctl --quiet enable "$name.service"
done
sed -i '/^passwd:/ s/$/ cache_oslogin oslogin/; /^group:/ s/$/ cache_oslogin oslogin/' \
    "$1/etc/nsswitch.conf"
echo 'account    [success=bad ignore=ignore] pam_oslogin_login.so' >>"$1/etc/pam.d/su"
printf '%s\n' '#### Google OS Login control. Do not edit this section. ####' \
    'AuthorizedKeysCommand /usr/bin/google_authorized_keys' 'AuthorizedKeysCommandUser root' \
    '#### End Google OS Login control section. ####' >>"$1/etc/ssh/sshd_config"
printf '#!/bin/sh\nexit 0\n' >"$1/usr/bin/google_authorized_keys"
chmod 0755 "$1/usr/bin/google_authorized_keys"
"""
