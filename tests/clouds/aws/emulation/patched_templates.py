"""Launch templates of the emulated cloud."""

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates


def patch_templates() -> None:
    """Have a second version have user data, and all that its source has."""
    _patch_versions()
    LaunchTemplateVersion.user_data = property(find_user_data)


def find_user_data(version: Any) -> Base64EncodedString | None:  # noqa: ANN401 - moto's class
    """Return a version's user data, which moto refuses to tell of the second one."""
    text = version.data.get("UserData")
    return Base64EncodedString(text) if isinstance(text, str) else text


def _patch_versions() -> None:
    """Have a version that is made from another one keep what it does not name.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
    """
    create = LaunchTemplates.create_launch_template_version

    def create_version(response: Any) -> Any:  # noqa: ANN401 - moto's classes
        source = response._get_param("SourceVersion")
        if not source:
            return create(response)
        backend, identity = response.ec2_backend, response._get_param("LaunchTemplateId")
        template = backend.get_launch_template(identity)
        old, make = template.get_version(source).data, template.create_version
        template.create_version = lambda data, about: make({**old, **data}, about)
        try:
            return create(response)
        finally:
            del template.create_version

    LaunchTemplates.create_launch_template_version = create_version
