# The app image on the `aws` target: an instance of the base's AMI, opened by its launch data.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.3.2"
    }
  }
}

variable "region" {
  type        = string
  description = "Where it is baked."
}

variable "profile" {
  type        = string
  description = "Profile of ~/.aws/config; empty is the SDK's choice."
}

variable "endpoint" {
  type        = string
  description = "What AWS_ENDPOINT_URL says, which the plugin does not read; empty is AWS itself."
}

variable "source_ami" {
  type        = string
  description = "The AMI to start from."
}

variable "ami_name" {
  type        = string
  description = "The AMI's name, which holds image and version."
}

variable "ami_description" {
  type        = string
  description = "JSON with the image's parents."
}

variable "instance_type" {
  type        = string
  description = "Of the bake's instance."
}

variable "subnet" {
  type        = string
  description = "Subnet of the bake's instance; empty is AWS's choice."
}

variable "instance_profile" {
  type        = string
  description = "Instance profile of the bake; Session Manager needs one."
}

variable "ssh_interface" {
  type        = string
  description = "`session_manager` to log in without an open port; empty logs in directly."
}

variable "let_in" {
  type        = list(string)
  description = "Addresses that may log in."
}

variable "ssh_host" {
  type        = string
  description = "Address to log in at; empty is the instance's own."
  default     = ""
}

variable "ssh_port" {
  type        = number
  description = "Port to log in at."
  default     = 22
}

variable "kms_key" {
  type        = string
  description = "Key of the encrypted disk; empty is AWS's own."
}

variable "volume_size" {
  type        = number
  description = "Root disk in GiB; 0 is the source AMI's size."
}

variable "copy_to" {
  type        = list(string)
  description = "Regions that get a copy."
}

variable "share_with" {
  type        = list(string)
  description = "Accounts that may launch the image."
}

variable "tags" {
  type        = map(string)
  description = "Of AMI and snapshots."
}

variable "bake_tags" {
  type        = map(string)
  description = "Of what lives as long as the bake; by them a killed bake is cleaned up."
}

variable "login" {
  type        = string
  description = "File with the private key of the bake's login; it lives as long as the bake."
}

variable "user_data" {
  type        = string
  description = "Launch data with the key's other half, since the base is sealed without."
}

source "amazon-ebs" "aws" {
  region                     = var.region
  profile                    = var.profile
  custom_endpoint_ec2        = var.endpoint
  skip_credential_validation = var.endpoint != ""
  skip_metadata_api_check    = var.endpoint != ""
  skip_region_validation     = var.endpoint != ""

  source_ami           = var.source_ami
  instance_type        = var.instance_type
  subnet_id            = var.subnet
  iam_instance_profile = var.instance_profile
  run_tags             = var.bake_tags
  run_volume_tags      = var.bake_tags
  user_data            = var.user_data
  imds_support         = "v2.0"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "launch_block_device_mappings" {
    for_each = var.volume_size > 0 ? [var.volume_size] : []
    content {
      device_name           = "/dev/xvda"
      volume_size           = launch_block_device_mappings.value
      volume_type           = "gp3"
      delete_on_termination = true
    }
  }

  ami_name              = var.ami_name
  ami_description       = var.ami_description
  ami_regions           = var.copy_to
  ami_users             = var.share_with
  snapshot_users        = var.share_with
  encrypt_boot          = true
  kms_key_id            = var.kms_key
  region_kms_key_ids    = { for region in var.copy_to : region => "" } # a key is its own region's
  tags                  = var.tags
  snapshot_tags         = var.tags
  force_deregister      = true # an AMI of this name without tags is what a killed bake left
  force_delete_snapshot = true

  communicator                          = "ssh"
  ssh_interface                         = var.ssh_interface
  ssh_host                              = var.ssh_host
  ssh_port                              = var.ssh_port
  ssh_username                          = "root"
  ssh_private_key_file                  = var.login
  ssh_timeout                           = "10m"
  temporary_security_group_source_cidrs = var.let_in
}

build {
  sources = ["source.amazon-ebs.aws"]

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
