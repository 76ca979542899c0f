#!/bin/sh -eu
# Makes the base out of the upstream distribution's image; the same on every target.
#
# Reads /var/tmp/inputs.tar, of which `files/` is laid over the root, and the facts from LINEAGE.

files=/var/tmp/files
export DEBIAN_FRONTEND=noninteractive
# Units are only linked, not loaded: the machine that they are for has yet to boot.
export SYSTEMD_OFFLINE=1

# Nothing is started during the bake.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d

install_packages() {
    apt-get install --quiet=2 --no-install-recommends --option=Dpkg::Use-Pty=0 \
        nginx-light openssh-server python3
}
# An image that brings the archive's index along is spared reading it again, as long as the mirrors
# still have what that names.
if ! ls /var/lib/apt/lists/*_Packages >/dev/null 2>&1 || ! install_packages; then
    apt-get update --quiet=2
    install_packages
fi

# Every file has root as its owner; the archive's times are all the same, so that each has that of
# the bake instead.
tar -xmf /var/tmp/inputs.tar -C /var/tmp
cp -a "$files/." /
python3 -IS -m compileall -q /usr/local/lib/immutable
install -d /etc/immutable
printf '%s\n' "$LINEAGE" >/etc/immutable/image.json
chmod 0644 /etc/immutable/image.json

# A server is never upgraded in place, and holds nothing that needs care.
mkdir -p /etc/systemd/system-generators
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    fstrim.timer
# sshd is started by the seal's consent alone: no socket, no key made by anyone else, no other way in.
systemctl mask --quiet ssh.socket sshd-keygen.service 'sshd@.service'
ln -sf /dev/null /etc/systemd/system-generators/systemd-ssh-generator
systemctl enable --quiet immutable-seal.service immutable-logs.service ssh.service
# An image whose application stands behind nginx enables it; one on a port of its own does not.
systemctl disable --quiet nginx.service

# Keys only, and no password that would fit.
usermod --password '*' root
sed -i 's/^\([^:]*\):\$[^:]*:/\1:*:/' /etc/shadow

nginx -t -q
mkdir -p /run/sshd /run/immutable
ssh-keygen -q -t ed25519 -N '' -f /run/immutable/ssh_host_ed25519_key
/usr/sbin/sshd -t
