# Where an image is baked on the `gcp` target: an instance of the upstream image, or of a parent's.
#
# Staged beside the `gcp.pkr.hcl` of an image that declares no source. Its build block names
# `source.googlecompute.gcp`. On an upstream image it runs with `local.execute`, begins with
# `local.first_boot`, makes a server of it with `local.machine`, and ends with `local.last`; a
# parent's login is root's.

packer {
  required_plugins {
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = "= 1.2.7"
    }
  }
}

variable "endpoint" {
  type        = string
  description = "Of the Compute Engine API, by the variable that Google's provider has for it; empty is Google."
  default     = env("GOOGLE_COMPUTE_CUSTOM_ENDPOINT")
}

variable "access_token" {
  type        = string
  description = "A token, by the variable that Google's provider has for it; empty finds the default credentials."
  default     = env("GOOGLE_OAUTH_ACCESS_TOKEN")
  sensitive   = true
}

variable "project" {
  type        = string
  description = "Where it is baked."
}

variable "zone" {
  type        = string
  description = "Zone of the bake's instance."
}

variable "name" {
  type        = string
  description = "Of instance, disk and network tag, by which a killed bake is cleaned up."
}

variable "seconds" {
  type        = number
  description = "After so many the cloud itself deletes the instance."
}

variable "machine_type" {
  type        = string
  description = "Of the bake's instance."
}

variable "disk_type" {
  type        = string
  description = "Of its disk."
}

variable "disk_size" {
  type        = number
  description = "Of its disk and of the image, in GB."
}

variable "network" {
  type        = string
  description = "Network of the instance; empty with a subnet."
}

variable "subnetwork" {
  type        = string
  description = "Its subnet; empty is the network's."
}

variable "external" {
  type        = bool
  description = "The instance has an external address."
}

variable "through" {
  type        = string
  description = "How it is logged in to: `ssh` by the external address, `private` by the internal one, or `iap`."
}

variable "service_account" {
  type        = string
  description = "Service account of the bake; empty is none."
}

variable "labels" {
  type        = map(string)
  description = "Of the instance."
}

variable "metadata" {
  type        = map(string)
  description = "Of the instance: with a parent, launch data that lets the bake in."
}

variable "source_project" {
  type        = string
  description = "Whose the image is to start from."
}

variable "source_image" {
  type        = string
  description = "Its name."
}

variable "image_name" {
  type        = string
  description = "Of the image that is made; holds image and version."
}

variable "image_family" {
  type        = string
  description = "Its family."
}

variable "image_description" {
  type        = string
  description = "Where it comes from."
}

variable "image_labels" {
  type        = map(string)
  description = "Its labels."
}

variable "image_architecture" {
  type        = string
  description = "`X86_64` or `ARM64`."
}

variable "ssh_port" {
  type        = number
  description = "Port to log in at."
  default     = 22
}

variable "login" {
  type        = string
  description = "File with the private key of a bake on a parent; it lives as long as the bake."
  default     = ""
}

locals {
  user   = "packer"
  google = <<-SCRIPT
    # What an instance needs and a machine of another kind does not; and no way in of Google's.
    #
    # The network is systemd's own: what Google's agent would do at each boot is the seal's task, or
    # nobody's. The launch data comes over the network.

    units=/etc/systemd/system
    export SYSTEMD_OFFLINE=1

    # Each of these lets somebody in, or runs what project or instance metadata say: the agent makes
    # users and takes keys, and loads plugins; OS Login asks Google who may log in.
    # https://github.com/GoogleCloudPlatform/guest-agent, https://github.com/GoogleCloudPlatform/guest-oslogin
    # The others have work here that is done already or by somebody else: the host name is the seal's.
    systemctl mask --quiet google-guest-agent.service google-guest-agent-manager.service \
        google-guest-compat-manager.service google-startup-scripts.service \
        google-shutdown-scripts.service google-osconfig-agent.service google-oslogin-cache.service \
        google-oslogin-cache.timer google-oslogin-trustedca.service google-oslogin-trustedca.timer \
        gce-workload-cert-refresh.service gce-workload-cert-refresh.timer \
        networkd-dispatcher.service rsyslog.service unattended-upgrades.service
    [ ! -e /etc/nsswitch.conf ] || sed -i -E 's/[[:space:]]+(cache_)?oslogin\b//g' /etc/nsswitch.conf
    find /etc/pam.d -type f -exec sed -i '/pam_oslogin/d' {} +
    sed -i '/^#### Google OS Login control/,/^#### End Google OS Login/d' /etc/ssh/sshd_config
    rm -rf /var/google-sudoers.d /var/google-users.d /etc/oslogin_*.cache
    rm -rf /var/lib/google* /etc/google_instance_id /etc/boto.cfg

    touch /etc/cloud/cloud-init.disabled 2>/dev/null || true
    rm -rf /etc/netplan/* /etc/network/interfaces.d/*
    # Google's networks have packets of 1460 bytes, as DHCP says:
    # https://docs.cloud.google.com/vpc/docs/mtu
    printf '[Match]\nType=ether\n\n[Link]\nRequiredFamilyForOnline=ipv4\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\nUseMTU=yes\n' \
        >/etc/systemd/network/80-ether.network
    chmod 0644 /etc/systemd/network/80-ether.network
    systemctl enable --quiet systemd-networkd.service systemd-networkd-wait-online.service
    mkdir -p "$units/immutable-seal.service.d"
    printf '[Unit]\nWants=network-online.target\nAfter=network-online.target\n' \
        >"$units/immutable-seal.service.d/network.conf"
    # The serial port is slow, journald waits for it, and Google keeps its last 1 MB: once a server is
    # sealed and serves, it says warnings alone.
    # https://docs.cloud.google.com/compute/docs/troubleshooting/viewing-serial-port-output
    printf '[Journal]\nMaxLevelConsole=warning\n' >/etc/immutable/sealed-journald.conf
    chmod 0644 /etc/immutable/sealed-journald.conf
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
  expression = "chmod +x {{ .Path }}; ${var.login == "" ? "sudo -n" : ""} ${var.bake == "" ? "env" : "sh -c \"$(echo ${var.bake} | base64 -d)\" sh"} {{ .Vars }} {{ .Path }}"
  sensitive  = true
}

locals {
  # Startup scripts and apt's timers have work of their own when an instance boots for the first time.
  first_boot = [
    "systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service 2>/dev/null || true",
  ]
  machine = [local.google]
  # The bake's own user, and what lets it do all. Nobody can do more after that.
  last = [
    "rm -rf /etc/sudoers.d/google*",
    "userdel --force --remove ${local.user} 2>/dev/null || ! id ${local.user} 2>/dev/null",
  ]
}

source "googlecompute" "gcp" {
  project_id       = var.project
  zone             = var.zone
  access_token     = var.access_token
  custom_endpoints = var.endpoint == "" ? {} : { compute = var.endpoint }

  source_image            = var.source_image
  source_image_project_id = [var.source_project]
  instance_name           = var.name
  disk_name               = var.name
  machine_type            = var.machine_type
  disk_type               = var.disk_type
  disk_size               = var.disk_size
  labels                  = var.labels
  tags                    = [var.name]
  metadata                = var.metadata

  # A bake that nobody ends is ended by Google.
  max_run_duration_in_seconds = var.seconds
  instance_termination_action = "DELETE"
  state_timeout               = "20m"

  network          = var.network
  subnetwork       = var.subnetwork
  omit_external_ip = !var.external
  use_internal_ip  = var.through == "private" || !var.external
  use_iap          = var.through == "iap"

  enable_secure_boot          = true
  enable_vtpm                 = true
  enable_integrity_monitoring = true

  # What an account may do is said by its roles.
  service_account_email           = var.service_account
  disable_default_service_account = var.service_account == ""
  scopes                          = ["https://www.googleapis.com/auth/cloud-platform"]

  image_name         = var.image_name
  image_family       = var.image_family
  image_description  = var.image_description
  image_labels       = var.image_labels
  image_architecture = var.image_architecture

  communicator            = "ssh"
  use_os_login            = false
  ssh_port                = var.ssh_port
  ssh_username            = var.login == "" ? local.user : "root"
  ssh_private_key_file    = var.login
  temporary_key_pair_type = var.login == "" ? "ed25519" : null
  ssh_timeout             = "10m"
}
