#!/bin/sh -eu
# Puts the application on top of the base; the same on every target, and without a network.
#
# Reads /var/tmp/bake: `files/`, laid over the root, `sources/app/` and `image.json`.

bake=/var/tmp/bake
export SYSTEMD_OFFLINE=1

useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app

chown -R root:root "$bake"
find "$bake/files" "$bake/sources" -type d -exec chmod 0755 {} +
find "$bake/files" -type f -exec chmod 0644 {} +
cp -a "$bake/files/." /
cp -a "$bake/sources/app" /opt/app
chmod -R a+rX,go-w /opt/app
python3 -m compileall -q /opt/app
install -m 0644 "$bake/image.json" /etc/immutable/image.json

systemctl enable --quiet app.service
nginx -t -q
