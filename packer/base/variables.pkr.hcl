# What every template declares; `MachineImage` hands these over.

variable "image" {
  type        = string
  description = "The image's name, such as `base`."
}

variable "version" {
  type        = string
  description = "The image's version: 12 hex digits over its declared inputs."
}

variable "lineage" {
  type        = string
  description = "JSON for /etc/immutable/image.json: image, version, parents, commit, clean, baked_at, archives."
}

variable "sources" {
  type        = string
  description = "Folder with the staged sources, one folder each by its name."
}

variable "manifest_path" {
  type        = string
  description = "Where the manifest post-processor writes."
}
