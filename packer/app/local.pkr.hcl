# The app image on the `local` target: a QEMU guest on an overlay of the base's disk.

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
  disk_size        = "4G" # the base's own
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
    ["-no-reboot"],
  ], [for file in var.credentials : ["-smbios", "type=11,path=${file}"]])

  communicator         = "ssh"
  ssh_username         = "root"
  ssh_private_key_file = var.login
  ssh_timeout          = "5m"
  ssh_port             = 22
  # As `systemctl poweroff`, which asks logind first; no image has one.
  shutdown_command = "systemctl start --no-block --job-mode=replace-irreversibly poweroff.target"
  shutdown_timeout = "2m"
}

build {
  sources = ["source.qemu.local"]

  provisioner "file" {
    sources     = ["${path.root}/files", var.sources]
    destination = "/var/tmp"
  }

  provisioner "shell" {
    environment_vars = ["LINEAGE=${var.lineage}"]
    scripts = [
      "${path.root}/provision.sh",
      "${path.root}/clean.sh",
    ]
  }

  post-processor "manifest" {
    output      = var.manifest_path
    custom_data = { version = var.version }
  }
}
