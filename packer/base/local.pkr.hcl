# What the base's bake does on the `local` target, which brings the source and `local.…`.

build {
  sources = ["source.qemu.local"]

  provisioner "file" {
    source      = "${path.root}/files"
    destination = "/var/tmp"
  }

  provisioner "shell" {
    environment_vars = ["LINEAGE=${var.lineage}"]
    script           = "${path.root}/provision.sh"
  }

  provisioner "shell" {
    inline = local.machine
  }

  provisioner "shell" {
    script = "${path.root}/clean.sh"
  }

  post-processor "manifest" {
    output      = var.manifest_path
    custom_data = { version = var.version }
  }
}
