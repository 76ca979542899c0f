"""Declares one environment: its images, and the services whose servers are launched from them.

The stack file says what they are; the resources do the rest. Versions, generations and where
traffic goes are decided from the checkout, the ledger and the target, before the first resource.
"""

import pulumi

from immutable_servers.program import ImmutableStack, plain_errors

with plain_errors():
    stack = ImmutableStack.load()

    for image in stack.versions:
        stack.declare_image(image)

    for service in stack.settings.services:
        stack.declare_service(service)

    stack.declare_verdict()

    pulumi.export("services", stack.summarize())
    pulumi.export("ledger", stack.render_ledger())
