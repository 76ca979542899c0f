#!/bin/sh -eu
# Puts the application on top of the base, and leaves nothing of the bake.

sources=/var/tmp/sources
export SYSTEMD_OFFLINE=1
tar -xmf /var/tmp/inputs.tar -C /var/tmp
cp -a "$sources/app" /opt/app
printf '%s\n' "$LINEAGE" >/etc/immutable/image.json
# A secret is used in the bake, and only what it was used for stays.
printf %s "$TOKEN" | sha256sum >/opt/app/token.sha256
# So is what the setting `bake` hands over.
printf %s "$MIRROR" | sha256sum >/opt/app/mirror.sha256
cat >/etc/systemd/system/app.service <<'UNIT'
[Unit]
After=immutable-seal.service network.target
Requires=immutable-seal.service
[Service]
ExecStart=/usr/bin/python3 /opt/app/server.py
EnvironmentFile=-/run/immutable/env
DynamicUser=yes
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet app.service
systemctl disable --quiet nginx.service
rm -rf "$sources" /var/tmp/inputs.tar /var/tmp/files /root/.ssh
: >/etc/machine-id
touch /etc/.updated /var/.updated
sync
