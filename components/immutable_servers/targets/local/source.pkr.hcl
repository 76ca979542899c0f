# Where an image is baked on the `local` target: a QEMU guest on an overlay of the disk it starts from.
#
# Staged beside the `local.pkr.hcl` of an image that declares no source. Its build block names
# `source.qemu.local`; on an upstream disk it makes a server of it with `local.machine`.

packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "= 1.0.9"
    }
  }
}

variable "disk" {
  type        = string
  description = "The qcow2 disk to start from."
}

variable "kernel" {
  type        = string
  description = "The kernel to boot it with."
}

variable "initrd" {
  type        = string
  description = "The initrd to boot it with."
}

variable "kernel_args" {
  type        = string
  description = "The kernel's command line."
}

variable "credentials" {
  type        = list(string)
  description = "Private files, one SMBIOS string each, that carry the bake's login as systemd credentials."
}

variable "login" {
  type        = string
  description = "File with the private key of the bake's login; it lives as long as the bake."
}

variable "accelerator" {
  type        = string
  description = "`kvm`, or `tcg` where KVM does not work."
}

variable "output" {
  type        = string
  description = "Folder, made by Packer, for `disk.qcow2`."
}

variable "console" {
  type        = string
  description = "File for what the guest writes to its serial console."
}

variable "bake" {
  type        = string
  description = "Shell script of the setting `bake`, in base64: exports its variables and starts its arguments."
  default     = ""
  sensitive   = true
}

# How a provisioning script is run: with what the setting `bake` hands to every bake.
local "execute" {
  expression = "chmod +x {{ .Path }}; ${var.bake == "" ? "env" : "sh -c \"$(echo ${var.bake} | base64 -d)\" sh"} {{ .Vars }} {{ .Path }}"
  sensitive  = true
}

source "qemu" "local" {
  accelerator      = var.accelerator
  machine_type     = "pc"
  cpu_model        = var.accelerator == "kvm" ? "host" : "max"
  cpus             = 1
  memory           = 1024
  headless         = true
  disable_vnc      = true
  boot_wait        = "-1s"
  output_directory = var.output
  vm_name          = "disk.qcow2"

  iso_url          = var.disk
  iso_checksum     = "none" # the bake has verified the folder's checksums
  disk_image       = true
  use_backing_file = true
  disk_size        = "4G" # as of the disk it starts from
  disk_interface   = "virtio"
  disk_cache       = "unsafe" # a bake that dies is thrown away; the finished disk is synced
  disk_discard     = "unmap"
  skip_compaction  = true
  format           = "qcow2"
  net_device       = "virtio-net-pci"

  qemuargs = concat([
    ["-kernel", var.kernel],
    ["-initrd", var.initrd],
    ["-append", var.kernel_args],
    ["-netdev", "user,id=user.0,hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:22"],
    ["-object", "rng-random,id=rng0,filename=/dev/urandom"],
    ["-device", "virtio-rng-pci,rng=rng0"],
    ["-device", "virtio-net-pci,netdev=user.0,romfile="],
    ["-serial", "file:${var.console}"],
    ["-vnc", "none"],
  ], [for file in var.credentials : ["-smbios", "type=11,path=${file}"]])

  communicator         = "ssh"
  ssh_username         = "root"
  ssh_private_key_file = var.login
  ssh_timeout          = "10m" # on a busy machine; one that is gone ends the bake at once
  ssh_port             = 22
  # As `systemctl poweroff`, which asks logind first; no image has one.
  shutdown_command = "systemctl start --no-block --job-mode=replace-irreversibly poweroff.target"
  shutdown_timeout = "2m"
}

locals {
  machine = [local.trim]
  trim    = <<-SCRIPT
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
        systemd-update-done.service ldconfig.service remote-fs.target systemd-tmpfiles-setup-dev.service \
        tmp.mount systemd-hibernate-clear.service systemd-pcrmachine.service systemd-pcrphase.service \
        systemd-pcrphase-sysinit.service systemd-tpm2-setup.service systemd-tpm2-setup-early.service
    for generator in /usr/lib/systemd/system-generators/*; do
        ln -sf /dev/null "/etc/systemd/system-generators/$${generator##*/}"
    done
    systemctl set-default --quiet multi-user.target

    # What mmdebstrap left behind.
    rm -f /usr/sbin/start-stop-daemon.REAL
    mount --bind / /mnt # below the /tmp of this boot
    rm -f /mnt/tmp/mmdebstrap.*
    umount /mnt
    chmod 0644 /etc/hostname /etc/resolv.conf
  SCRIPT
}
