#!/bin/sh -eu
# Leaves nothing of the bake: no key, no trace of a login, nothing that is made at first boot.

rm -rf /var/lib/immutable /var/tmp/inputs.tar /var/tmp/files /var/tmp/sources /root/.ssh /root/.bash_history
: >/etc/machine-id
touch /etc/.updated /var/.updated
sync
