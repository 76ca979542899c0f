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

variable "instance_type" {
  type        = string
  description = "Of the bake's instance."
}

variable "subnet" {
  type        = string
  description = "Subnet of the bake's instance; empty is AWS's choice."
}

variable "public" {
  type        = bool
  description = "The instance has a public address, and is logged in to by that."
}

variable "instance_profile" {
  type        = string
  description = "Instance profile of the bake; Session Manager needs one."
}

variable "ssh_interface" {
  type        = string
  description = "`public_ip`, `private_ip`, or `session_manager` to log in without an open port."
}

variable "let_in" {
  type        = list(string)
  description = "IPv4 addresses that may log in."
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

variable "tags" {
  type        = map(string)
  description = "Of the whole AMI and its snapshot."
}

variable "bake_tags" {
  type        = map(string)
  description = "Of all that a bake makes, from its creation; by them a killed bake is cleaned up."
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
    # A subnet may have no IPv6: the boot waits for IPv4 alone, over which the launch data comes.
    printf '[Match]\nType=ether\n\n[Link]\nRequiredFamilyForOnline=ipv4\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\n' \
        >/etc/systemd/network/80-ether.network
    chmod 0644 /etc/systemd/network/80-ether.network
    systemctl enable --quiet systemd-networkd.service systemd-networkd-wait-online.service
    mkdir -p "$units/immutable-seal.service.d" "$units/amazon-ssm-agent.service.d"
    printf '[Unit]\nWants=network-online.target\nAfter=network-online.target\n' \
        >"$units/immutable-seal.service.d/network.conf"
    printf '[Unit]\nConditionPathExists=/run/immutable/open\nBindsTo=ssh.service\nAfter=ssh.service\n' \
        >"$units/amazon-ssm-agent.service.d/immutable.conf"
    # journald waits for the console with each line that it forwards, and EC2's is slow: at 50 lines
    # a second it was measured at 100 % of a CPU, with writes of 2 to 55 ms. Once a server is sealed
    # and serves, its console has warnings alone.
    # https://github.com/coreos/bugs/issues/1162, https://github.com/systemd/systemd/issues/2815
    printf '[Journal]\nMaxLevelConsole=warning\n' >/etc/immutable/sealed-journald.conf
    chmod 0644 /etc/immutable/sealed-journald.conf
    systemctl mask --quiet unattended-upgrades.service
    rm -rf /home/*/.ssh
    # What the agent knows of the bake goes as a server boots: a bake may log in through the agent,
    # which keeps the ways of its sessions there.
    printf 'R! /var/lib/amazon/ssm\n' >/etc/tmpfiles.d/immutable-ssm.conf
  SCRIPT
}

variable "bake" {
  type        = string
  description = "Shell script of the setting `bake`, in base64: exports its variables and starts its arguments."
  default     = ""
  sensitive   = true
}

# How a provisioning script is run: as root, with what the setting `bake` hands to every bake.
local "execute" {
  expression = "chmod +x {{ .Path }}; ${var.login == "" ? "sudo -n" : ""} ${var.bake == "" ? "env" : "sh -c \"$(echo ${var.bake} | base64 -d)\" sh"} {{ .Vars }} {{ .Path }}"
  sensitive  = true
}

# The name that templates of before use for it.
local "sudo" {
  expression = local.execute
  sensitive  = true
}

locals {
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
  custom_endpoint_ec2        = var.endpoint
  skip_credential_validation = var.endpoint != ""
  skip_metadata_api_check    = var.endpoint != ""
  skip_region_validation     = var.endpoint != ""

  source_ami    = var.source_ami
  instance_type = var.instance_type
  subnet_id     = var.subnet
  # A default subnet gives one by itself; without a subnet the plugin would choose one by more calls.
  associate_public_ip_address = var.public && var.subnet != "" ? true : null
  # Without, these types begin with no credits, at a fraction of their processors:
  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-standard-mode-concepts.html
  enable_unlimited_credits = can(regex("^t(2|3|3a|4g)\\.", var.instance_type))
  iam_instance_profile     = var.instance_profile
  run_tags                 = var.bake_tags
  run_volume_tags          = var.bake_tags
  user_data                = var.user_data != "" ? var.user_data : var.ssh_interface == "session_manager" ? local.agent : ""

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Encrypted from its first block, so that the AMI's one snapshot is, with no copy of it.
  launch_block_device_mappings {
    device_name           = "/dev/xvda" # of Debian's AMIs: https://wiki.debian.org/Cloud/AmazonEC2Image
    encrypted             = true
    kms_key_id            = var.kms_key
    volume_type           = "gp3"
    volume_size           = var.volume_size
    delete_on_termination = true
  }

  # The plugin makes AMI and snapshot with `run_tags`; these come when the AMI is whole.
  ami_name      = var.ami_name
  tags          = var.tags
  snapshot_tags = var.tags

  communicator                          = "ssh"
  ssh_interface                         = var.ssh_interface
  ssh_host                              = var.ssh_host
  ssh_port                              = var.ssh_port
  ssh_username                          = var.login == "" ? "admin" : "root" # of Debian's AMIs
  ssh_private_key_file                  = var.login
  temporary_key_pair_type               = var.login == "" ? "ed25519" : null
  ssh_timeout                           = "10m"
  temporary_security_group_source_cidrs = var.let_in
}
