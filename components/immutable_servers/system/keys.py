"""Makes ssh key pairs. A private key is a file of this user alone, and never in Pulumi's state."""

from pathlib import Path

from immutable_servers.system.tools import run_tool


def find_or_make_key_pair(private: Path, comment: str) -> str:
    """Return the public key beside a private one; make both when one is missing."""
    public = _name_public(private)
    if not (private.exists() and public.exists()):
        return make_key_pair(private, comment)
    return public.read_text(encoding="ascii").strip()


def make_key_pair(private: Path, comment: str) -> str:
    """Make an ed25519 key pair in place of any that is there; return the public key.

    The public key is in `<private>.pub`. A folder that is missing is made for this user only.

    Raises:
        LaunchError: The key could not be written.
        SetupError: There is no ssh-keygen.
    """
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = _name_public(private)
    for file in (private, public):
        file.unlink(missing_ok=True)
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)]
    run_tool(keygen, "A key could not be made")
    return public.read_text(encoding="ascii").strip()


def _name_public(private: Path) -> Path:
    return private.with_name(f"{private.name}.pub")
