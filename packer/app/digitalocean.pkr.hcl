# What the app's bake does on the `digitalocean` target, which brings the source.

build {
  sources = ["source.digitalocean.digitalocean"]

  provisioner "file" {
    source      = var.inputs
    destination = "/var/tmp/inputs.tar"
  }

  provisioner "shell" {
    execute_command  = local.execute
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
