"""Lets runs that bake one version at the same time end with one image, which all of them launch.

Their locks are on their own machines. What decides is the image's name, which an account has once:
who finds it taken takes what the other has made, and nobody bakes over anything.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from immutable_servers.contract.values import BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.system.waiting import wait_until

SHOWN_SECONDS = 60.0
"""How long a list of images may lack one whose name is taken."""
LOOK_SECONDS = 5.0


class State(Enum):
    """Of the image with a version's name."""

    NONE = "there is none, or what a dead bake left"
    MADE = "another run makes it"
    WHOLE = "it can be launched"


class NamedImages(ABC):
    """Images of an account as the cloud describes them, found by the names that bakes give them.

    Attributes:
        taken: What the facts of an error say when a name is taken.
        key: Where a description has the name or id that a reader can look up.
        tag: The cloud's word for what a bake writes on its image.
        half: What an image is that a bake has left and that is not whole, for a reader.
        stranger_todo: What the reader does about the image of somebody else that has a name.
    """

    taken: ClassVar[re.Pattern[str]]
    key: ClassVar[str]
    tag: ClassVar[str]
    half: ClassVar[str]
    stranger_todo: ClassVar[str]

    @abstractmethod
    def find_named(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        """Return the images with a version's name, whole or not."""

    @abstractmethod
    def is_whole(self, found: Mapping[str, Any]) -> bool:
        """Return whether a bake has finished an image, so that it can be launched."""

    @abstractmethod
    def is_dead(self, found: Mapping[str, Any], request: BakeRequest) -> bool:
        """Return whether nobody finishes an image any more that is not whole."""

    @abstractmethod
    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Return whether a bake of ours has made an image."""

    @abstractmethod
    def remove(self, found: Mapping[str, Any]) -> None:
        """Remove an image with all that belongs to it; what is gone is no error."""


@dataclass(frozen=True)
class Rivals:
    """Other runs that bake the version of a request."""

    request: BakeRequest
    images: NamedImages

    def bake(self, build: Callable[[], object]) -> None:
        """Bake, unless a rival's image can be launched; take one that comes meanwhile.

        Raises:
            ImageError: The bake failed, or the name is taken by something that is not ours.
            StoppedError: This process was asked to stop.
        """
        if self.look() != State.NONE and self.wait():
            return
        self._clear()
        try:
            build()
        except ImageError as error:
            taken = self.images.taken.search("\n".join(error.facts))
            if not taken or not self.wait():
                raise

    def look(self) -> State:
        """Return how the image with the version's name is now."""
        states = {self._judge(one) for one in self._find()}
        return next((one for one in (State.WHOLE, State.MADE) if one in states), State.NONE)

    def wait(self) -> bool:
        """Wait until a rival's image is whole, or until that run fails; return whether it is whole.

        Raises:
            StoppedError: This process was asked to stop.
        """
        what = f"waiting for {self.request.image} {self.request.version}, which another run bakes"
        self.request.say(what)
        look, every = self.look, LOOK_SECONDS
        wait_until(what, SHOWN_SECONDS, look, done=lambda now: now != State.NONE, every=every)
        last = wait_until(what, math.inf, look, done=lambda now: now != State.MADE, every=every)
        return last == State.WHOLE

    def _find(self) -> Sequence[Mapping[str, Any]]:
        return self.images.find_named(self.request.image, self.request.version)

    def _judge(self, found: Mapping[str, Any]) -> State:
        if self.images.is_whole(found):
            return State.WHOLE
        return State.NONE if self.images.is_dead(found, self.request) else State.MADE

    def _clear(self) -> None:
        """Remove what dead bakes have left under the name.

        Raises:
            ImageError: Something that no bake of ours made has it.
        """
        request, images = self.request, self.images
        for one in self._find():
            name = one[images.key]
            if not images.is_ours(one):
                raise ImageError(
                    f"The name of image {request.image} {request.version} is taken",
                    facts=[f"{name} has it, and no {images.tag} of a bake of ours"],
                    todo=images.stranger_todo,
                )
            if self._judge(one) == State.NONE:  # another run may have begun meanwhile
                request.say(f"removes {images.half}: {name}")
                images.remove(one)
