#!/bin/sh -eu
# Puts the application on top of the base; the same on every target, and without a network.
#
# Reads `files/`, laid over the root, and `sources/app/` in /var/tmp, and the facts from LINEAGE.

files=/var/tmp/files
sources=/var/tmp/sources
export SYSTEMD_OFFLINE=1

useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app

chown -R root:root "$files" "$sources"
find "$files" "$sources" -type d -exec chmod 0755 {} +
find "$files" -type f -exec chmod 0644 {} +
cp -a "$files/." /
cp -a "$sources/app" /opt/app
chmod -R a+rX,go-w /opt/app
python3 -m compileall -q /opt/app
printf '%s\n' "$LINEAGE" >/etc/immutable/image.json

systemctl enable --quiet app.service
nginx -t -q
