# Where an image is baked on the `aws` target: an instance of the upstream AMI, or of a parent's.
#
# Staged beside the `aws.pkr.hcl` of an image that declares no source. Its build block names
# `source.amazon-ebs.aws`. On an upstream AMI it runs with `local.sudo`, begins with
# `local.first_boot`, and makes a server of it with `local.machine`; a parent's login is root's.

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

variable "upstream_user" {
  type        = string
  description = "Who logs in to the upstream AMI; Debian's is `admin`."
  default     = "admin"
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

variable "agent_url" {
  type        = string
  description = "Debian package of the SSM agent, for an upstream AMI; empty leaves it out."
  default     = ""
}

variable "agent_sha256" {
  type        = string
  description = "Its digest."
  default     = ""
}

variable "login" {
  type        = string
  description = "File with the private key of a bake on a parent; it lives as long as the bake."
  default     = ""
}

variable "user_data" {
  type        = string
  description = "Launch data with the key's other half: a parent is sealed without."
  default     = ""
}

locals {
  # Debian's AMI brings no SSM agent. It runs only while the login window is open: it is a login too.
  agent = var.agent_url == "" ? "" : <<-SCRIPT
    #!/bin/sh -eu
    python3 -IS - <<'PYTHON'
    import hashlib, urllib.request
    package = urllib.request.urlopen("${var.agent_url}", timeout=120).read()
    if hashlib.sha256(package).hexdigest() != "${var.agent_sha256}":
        raise SystemExit("the SSM agent is not the one that the lock names")
    open("/var/tmp/agent.deb", "wb").write(package)
    PYTHON
    dpkg --install /var/tmp/agent.deb
    rm /var/tmp/agent.deb
  SCRIPT
  ec2   = <<-SCRIPT
    # What an instance needs and a machine of another kind does not.
    #
    # The network is systemd's own: what cloud-init would do at each boot is the seal's task, or
    # nobody's. The launch data comes over the network.

    units=/etc/systemd/system
    export SYSTEMD_OFFLINE=1
    touch /etc/cloud/cloud-init.disabled
    rm -rf /etc/netplan/* /etc/network/interfaces.d/*
    printf '[Match]\nType=ether\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\n' \
        >/etc/systemd/network/80-ether.network
    chmod 0644 /etc/systemd/network/80-ether.network
    systemctl enable --quiet systemd-networkd.service systemd-networkd-wait-online.service
    mkdir -p "$units/immutable-seal.service.d" "$units/amazon-ssm-agent.service.d"
    printf '[Unit]\nWants=network-online.target\nAfter=network-online.target\n' \
        >"$units/immutable-seal.service.d/network.conf"
    printf '[Unit]\nConditionPathExists=/run/immutable/open\nBindsTo=ssh.service\nAfter=ssh.service\n' \
        >"$units/amazon-ssm-agent.service.d/immutable.conf"
    systemctl mask --quiet unattended-upgrades.service
    rm -rf /home/*/.ssh /var/lib/amazon/ssm
  SCRIPT
}

locals {
  sudo = "chmod +x {{ .Path }}; sudo -n env {{ .Vars }} {{ .Path }}"
  # cloud-init and apt's timers have work of their own when an instance boots for the first time.
  first_boot = [
    "cloud-init status --wait >/dev/null || true",
    "systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service 2>/dev/null || true",
  ]
  machine = compact([
    local.agent == "" ? "" : "dpkg --status amazon-ssm-agent >/dev/null 2>&1 || {\n${local.agent}\n}",
    local.ec2,
  ])
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
  user_data            = var.user_data != "" ? var.user_data : var.ssh_interface != "" ? local.agent : ""
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
  ssh_username                          = var.login == "" ? var.upstream_user : "root"
  ssh_private_key_file                  = var.login
  temporary_key_pair_type               = var.login == "" ? "ed25519" : null
  ssh_timeout                           = "10m"
  temporary_security_group_source_cidrs = var.let_in
}
