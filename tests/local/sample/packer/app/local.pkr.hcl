packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "= 1.0.9"
    }
  }
}

variable "image" { type = string }
variable "version" { type = string }
variable "lineage" { type = string }
variable "inputs" { type = string }
variable "manifest_path" { type = string }
variable "disk" { type = string }
variable "kernel" { type = string }
variable "initrd" { type = string }
variable "kernel_args" { type = string }
variable "credentials" { type = list(string) }
variable "login" { type = string }
variable "accelerator" { type = string }
variable "output" { type = string }
variable "console" { type = string }
variable "token" {
  type      = string
  sensitive = true
  default   = ""
}

variable "bake" {
  type      = string
  sensitive = true
  default   = ""
}
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
  iso_checksum     = "none"
  disk_image       = true
  use_backing_file = true
  disk_size        = "4G"
  disk_interface   = "virtio"
  disk_cache       = "unsafe"
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
  shutdown_command     = "systemctl poweroff"
  shutdown_timeout     = "2m"
}

build {
  sources = ["source.qemu.local"]

  provisioner "file" {
    source      = var.inputs
    destination = "/var/tmp/inputs.tar"
  }
  provisioner "shell" {
    execute_command  = local.execute
    environment_vars = ["LINEAGE=${var.lineage}", "TOKEN=${var.token}"]
    script           = "${path.root}/provision.sh"
  }
  post-processor "manifest" {
    output      = var.manifest_path
    custom_data = { version = var.version }
  }
}
