"""Makes moto's models answer as Amazon does where they do not, with what the world knows.

- The default VPC is on this machine's loopback, so that an instance's private address can be
  used; its public one is the same. An instance without a subnet stands in the default VPC.
- A load balancer's DNS name is an address there too.
- An account sees AMIs that are shared with it, but not their tags.
- A disk of a launch template without a size is as large as the AMI's.
- A target's health is what a check found, not always `healthy`; one that was taken out drains.
- An Auto Scaling group puts a replaced instance into its target groups, and replaces none while
  that is suspended.
- Launches that failed are told as activities.
- A second version of a launch template has user data, as the first one has, and all that its
  source has.
"""

from clouds.aws.emulation.cloud_world import World
from clouds.aws.emulation.patched_health import patch_health
from clouds.aws.emulation.patched_images import patch_images
from clouds.aws.emulation.patched_network import patch_network
from clouds.aws.emulation.patched_scaling import patch_scaling
from clouds.aws.emulation.patched_templates import patch_templates


def patch(world: World) -> None:
    """Replace the methods that fall short."""
    patch_network(world)
    patch_images(world)
    patch_health(world)
    patch_scaling(world)
    patch_templates()
