# What the base's bake does on the `digitalocean` target, which brings the source and `local.…`.

build {
  sources = ["source.digitalocean.digitalocean"]

  provisioner "shell" {
    execute_command = local.execute
    inline          = local.first_boot
  }

  provisioner "file" {
    source      = var.inputs
    destination = "/var/tmp/inputs.tar"
  }

  provisioner "shell" {
    execute_command  = local.execute
    environment_vars = ["LINEAGE=${var.lineage}"]
    script           = "${path.root}/provision.sh"
  }

  provisioner "shell" {
    execute_command = local.execute
    inline          = local.machine
  }

  provisioner "shell" {
    execute_command = local.execute
    script          = "${path.root}/clean.sh"
  }

  post-processor "manifest" {
    output      = var.manifest_path
    custom_data = { version = var.version }
  }
}
