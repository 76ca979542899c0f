#!/bin/sh -eu
# Puts the application on top of the base; the same on every target. This one needs no network, and a
# bake has one: see docs/how-to/your-application.md.
#
# Reads /var/tmp/inputs.tar: `files/`, laid over the root, and `sources/app/`; and the facts from
# LINEAGE.

files=/var/tmp/files
sources=/var/tmp/sources
export SYSTEMD_OFFLINE=1

useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app

# The archive's times are all the same, so that each file has that of the bake instead.
tar -xmf /var/tmp/inputs.tar -C /var/tmp
cp -a "$files/." /
cp -a "$sources/app" /opt/app
python3 -m compileall -q /opt/app
printf '%s\n' "$LINEAGE" >/etc/immutable/image.json

systemctl enable --quiet app.service nginx.service
nginx -t -q
