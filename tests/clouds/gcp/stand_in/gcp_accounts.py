"""Service accounts: no operations, and an id of their own."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gcp_fields import Field
from gcp_kinds import Kind
from gcp_wire import GoogleError
from shared_wire import Values

TAKEN = 409


class Account(Kind):
    """An account that servers run as."""

    urn_type = "gcp:serviceaccount/account:Account"
    service = "iam"
    longest_name = 0
    collection = "serviceAccounts"
    computed = ("email", "name", "uniqueId", "member")
    fields: ClassVar[Sequence[Field]] = (
        Field("accountId", virtual=True),
        Field("project", "projectId", computed=True),
        Field("description"),
        Field("displayName"),
        Field("disabled"),
        Field("createIgnoreAlreadyExists", virtual=True),
    )
    outputs: ClassVar[Mapping[str, str]] = {
        "email": "email",
        "name": "name",
        "uniqueId": "uniqueId",
    }

    def make_identity(self, inputs: Values) -> str:
        """Return the id of what inputs make."""
        project = inputs.get("project") or self.wire.project
        email = f"{inputs['accountId']}@{project}.iam.gserviceaccount.com"
        return f"projects/{project}/serviceAccounts/{email}"

    def complete_identity(self, identity: str) -> str:
        """Return the whole id."""
        name = identity.rpartition("/")[2].partition("@")[0]
        return identity if "/" in identity else self.make_identity({"accountId": name})

    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return the state; the account's id is a part of its address."""
        state = super().render_state(identity, inputs, found)
        email = str(found["email"])
        own = {"accountId": email.partition("@")[0], "member": f"serviceAccount:{email}"}
        return {**state, **own}

    def import_inputs(self, found: Values) -> Values:
        """Return what the API says, and the account's id."""
        inputs = super().import_inputs(found)
        return {**inputs, "accountId": str(found["email"]).partition("@")[0]}

    def create(self, inputs: Values) -> str:
        """Create it."""
        identity = self.make_identity(inputs)
        folder = identity.rpartition("/")[0]
        body = {"accountId": inputs["accountId"], "serviceAccount": self.render(inputs)}
        try:
            self.wire.send("POST", folder, body)
        except GoogleError as error:
            if error.code != TAKEN or not inputs.get("createIgnoreAlreadyExists"):
                raise
        return identity

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write what may change of it."""
        del olds
        body = {"serviceAccount": self.render(news), "updateMask": "description,displayName"}
        self.wire.send("PATCH", identity, body)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it."""
        del inputs
        if self.describe(identity) is not None:
            self.wire.send("DELETE", identity)
