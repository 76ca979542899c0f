"""Looks at what this machine has for logins to servers and bakes: tools, a file, its address."""

from immutable_servers.targets.cloud.verifier import Tunnel

SESSION_TOOL = "session-manager-plugin"
SESSION_TOOL_GUIDE = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)
TUNNEL = Tunnel(
    "aws",
    "ssm",
    "Session Manager",
    tools=("aws", SESSION_TOOL),
    build_tools=(SESSION_TOOL,),
    guide=SESSION_TOOL_GUIDE,
)
check_route = TUNNEL.check_route
check_login = TUNNEL.check_login
find_verifier = TUNNEL.find_verifier
