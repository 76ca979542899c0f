# Where an image is baked on the `digitalocean` target: a droplet of the upstream image, or of a
# parent's snapshot.
#
# Staged beside the `digitalocean.pkr.hcl` of an image that declares no source. Its build block names
# `source.digitalocean.digitalocean`. On an upstream image it begins with `local.first_boot`, and
# makes a server of it with `local.machine`. Every login is root's.

packer {
  required_plugins {
    digitalocean = {
      source  = "github.com/digitalocean/digitalocean"
      version = "= 1.4.1"
    }
  }
}

variable "token" {
  type        = string
  description = "By the variable that the provider has for it; empty is the other name of that, which the plugin reads."
  default     = env("DIGITALOCEAN_TOKEN")
  sensitive   = true
}

variable "name" {
  type        = string
  description = "Of droplet and snapshot, by which a killed bake is cleaned up."
}

variable "tags" {
  type        = list(string)
  description = "Of the droplet; its firewall goes by them."
}

variable "region" {
  type        = string
  description = "Where it is baked."
}

variable "size" {
  type        = string
  description = "Of the droplet; the image is launched on disks of its disk's size and larger."
}

variable "source_image" {
  type        = string
  description = "Id of the image to start from."
}

variable "vpc" {
  type        = string
  description = "VPC of the droplet; empty is the region's default one."
}

variable "private" {
  type        = bool
  description = "It is logged in to by its address in the VPC."
}

variable "seconds" {
  type        = number
  description = "How long the snapshot may take at most, in seconds; the bake's own deadline ends it before."
}

variable "ssh_key" {
  type        = number
  description = "Id of the account's key, of this bake alone: without one the plugin makes one that says nobody's name."
}

variable "login" {
  type        = string
  description = "File with the key's other half; it lives as long as the bake."
}

variable "user_data" {
  type        = string
  description = "Launch data with the key: a parent is sealed without. Empty for an upstream image."
}

variable "ssh_port" {
  type        = number
  description = "Port to log in at."
  default     = 22
}

locals {
  droplet = <<-SCRIPT
    # What a droplet needs and a machine of another kind does not; and no way in of DigitalOcean's.
    #
    # Droplets have no DHCP. `immutable-network.service` asks the metadata service for addresses, as
    # cloud-init does, which would do more than that: it runs what user data say.

    units=/etc/systemd/system
    export SYSTEMD_OFFLINE=1
    # Each of these is a login, or runs what somebody says from outside.
    # https://docs.digitalocean.com/products/droplets/how-to/manage-agent/
    systemctl mask --quiet droplet-agent.service do-agent.service networking.service \
        unattended-upgrades.service
    mkdir -p /etc/cloud
    touch /etc/cloud/cloud-init.disabled
    rm -rf /etc/netplan/* /etc/network/interfaces.d/* /etc/systemd/network/*
    # A card of which the metadata say nothing gets no address.
    printf '[Match]\nType=ether\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nLinkLocalAddressing=no\n' \
        >/etc/systemd/network/80-ether.network
    chmod 0644 /etc/systemd/network/80-ether.network
    systemctl enable --quiet immutable-network.service systemd-networkd.service \
        systemd-networkd-wait-online.service
    mkdir -p "$units/immutable-seal.service.d"
    printf '[Unit]\nWants=network-online.target\nAfter=network-online.target\n' \
        >"$units/immutable-seal.service.d/network.conf"
    # The bake goes on with the name servers that it has.
    mkdir -p /run/immutable-network
    [ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >/run/immutable-network/resolv.conf
    rm -f /etc/resolv.conf
    ln -s /run/immutable-network/resolv.conf /etc/resolv.conf
    rm -rf /home/*/.ssh
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
  expression = "chmod +x {{ .Path }}; ${var.bake == "" ? "env" : "sh -c \"$(echo ${var.bake} | base64 -d)\" sh"} {{ .Vars }} {{ .Path }}"
  sensitive  = true
}

locals {
  # cloud-init and apt's timers have work of their own when a droplet boots for the first time.
  first_boot = [
    "cloud-init status --wait >/dev/null 2>&1 || true",
    "systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service 2>/dev/null || true",
  ]
  machine = [local.droplet]
}

source "digitalocean" "digitalocean" {
  api_token = var.token

  droplet_name = var.name
  tags         = var.tags
  region       = var.region
  size         = var.size
  image        = var.source_image
  user_data    = var.user_data

  private_networking      = true
  vpc_uuid                = var.vpc
  connect_with_private_ip = var.private
  droplet_agent           = false
  state_timeout           = "15m"

  # It gets the image's name when it is in all regions.
  snapshot_name    = var.name
  snapshot_timeout = "${var.seconds}s"

  communicator         = "ssh"
  ssh_port             = var.ssh_port
  ssh_username         = "root"
  ssh_key_id           = var.ssh_key
  ssh_private_key_file = var.login
  ssh_timeout          = "10m"
}
