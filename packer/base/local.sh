#!/bin/sh -eu
# Takes away what a QEMU machine without screen, keyboard and hotplug waits for at boot.
#
# Such a machine may have no KVM, and then each process started costs some 50 ms.

units=/etc/systemd/system
export SYSTEMD_OFFLINE=1
mask() {
    for unit in "$@"; do ln -sf /dev/null "$units/$unit"; done
}

# One disk and one network card, both driven from the initrd on, and their names are the kernel's.
mask systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-udev-trigger.service systemd-udev-load-credentials.service kmod-static-nodes.service \
    systemd-modules-load.service systemd-tmpfiles-setup-dev-early.service systemd-hwdb-update.service
# QEMU's user-mode network gives every guest the same address (QEMU's manual, "Using the user mode
# network stack"), so nothing has to be asked for.
cat >"$units/immutable-network.service" <<'UNIT'
[Unit]
Description=Set the address of QEMU's user-mode network
DefaultDependencies=no
Before=network-pre.target network.target shutdown.target
Wants=network.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip -batch /etc/immutable/network

[Install]
WantedBy=multi-user.target
UNIT
cat >/etc/immutable/network <<'BATCH'
link set lo up
address add 10.0.2.15/24 dev eth0
link set eth0 up
route add default via 10.0.2.2
BATCH
systemctl disable --quiet systemd-networkd.service
systemctl enable --quiet immutable-network.service
mask systemd-network-generator.service systemd-networkd-persistent-storage.service \
    systemd-networkd.socket systemd-networkd-wait-online.service
# The console belongs to the journal, and nobody logs in there.
mask getty.target getty-static.service systemd-logind.service systemd-user-sessions.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path
# File systems and sockets for what is not here.
mask dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount run-lock.mount systemd-pstore.service systemd-random-seed.service \
    systemd-creds.socket systemd-hostnamed.socket systemd-sysext.socket systemd-initctl.socket \
    systemd-journald-audit.socket systemd-pcrextend.socket systemd-pcrlock.socket \
    systemd-tmpfiles-clean.timer systemd-journal-flush.service systemd-machine-id-commit.service \
    systemd-firstboot.service systemd-journal-catalog-update.service systemd-sysusers.service \
    systemd-update-done.service ldconfig.service remote-fs.target
for generator in /usr/lib/systemd/system-generators/*; do
    ln -sf /dev/null "/etc/systemd/system-generators/${generator##*/}"
done
systemctl set-default --quiet multi-user.target
