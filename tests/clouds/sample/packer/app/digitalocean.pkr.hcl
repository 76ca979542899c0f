source "null" "image" {
  communicator = "none"
}

build {
  sources = ["source.null.image"]
}
