#!/bin/sh -eu
# Leaves nothing of the bake: no key, no trace of a login, nothing that is made at first boot.

rm -rf /var/tmp/inputs.tar /var/tmp/files /var/tmp/sources /usr/sbin/policy-rc.d /root/.ssh /root/.bash_history
rm -rf /var/lib/immutable
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
# A service that comes from here on is another image's own: see own_units.py.
find /etc/systemd/system /usr/lib/systemd/system -name '*.service' -printf '%f\n' | sort -u \
    >/etc/immutable/base-units
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/journal
find /var/log -type f -exec truncate --size=0 {} +
# What cloud-init made for the instance of the bake: its name, its facts, what it has done already.
rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem
rm -rf /var/lib/dhcp/*.leases /var/lib/dhcpcd/*.lease /var/lib/NetworkManager /run/cloud-init
[ ! -e /etc/hosts ] || sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts
: >/etc/hostname
: >/etc/machine-id
# systemd.unit(5), ConditionNeedsUpdate: what follows a change of /usr has been done.
touch /etc/.updated /var/.updated
sync
fstrim / || true
