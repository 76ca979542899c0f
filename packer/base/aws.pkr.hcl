# What the base's bake does on the `aws` target, which brings the source and `local.…`.

build {
  sources = ["source.amazon-ebs.aws"]

  provisioner "shell" {
    execute_command = local.sudo
    inline          = local.first_boot
  }

  provisioner "file" {
    source      = "${path.root}/files"
    destination = "/var/tmp"
  }

  provisioner "shell" {
    execute_command  = local.sudo
    environment_vars = ["LINEAGE=${var.lineage}"]
    script           = "${path.root}/provision.sh"
  }

  provisioner "shell" {
    execute_command = local.sudo
    inline          = local.machine
  }

  provisioner "shell" {
    execute_command = local.sudo
    script          = "${path.root}/clean.sh"
  }

  post-processor "manifest" {
    output      = var.manifest_path
    custom_data = { version = var.version }
  }
}
