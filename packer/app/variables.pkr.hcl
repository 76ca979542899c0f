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

variable "inputs" {
  type        = string
  description = "Archive of `files/` and, below `sources/`, of each source by its path; for /var/tmp."
}

variable "manifest_path" {
  type        = string
  description = "Where the manifest post-processor writes."
}
