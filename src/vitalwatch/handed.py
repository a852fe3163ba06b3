"""What the monitor remembers of a window, handed sealed to whoever asked, and taken back with the readings that follow.

So a recording of any length is judged as one, by a server that keeps nothing of it. The seal is that of the database's
key: bytes that were not made here are never opened.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from vitalwatch import memory
from vitalwatch.database.vault import Secret
from vitalwatch.errors import DatabaseError, UsageError
from vitalwatch.monitor import State


@dataclass(frozen=True)
class Handed:
    """Seals and opens memories."""

    secret: Secret

    def give(self, run: str, state: State) -> str:
        """Return a state of a run as text."""
        return base64.b64encode(self.secret.seal(memory.pack(state), _place(run))).decode("ascii")

    def take(self, run: str, told: str) -> State:
        """Return the state that `give` made a text of; raises UsageError for any other text, and for another run."""
        try:
            return memory.unpack(self.secret.open(base64.b64decode(told, validate=True), _place(run)))
        except (binascii.Error, ValueError, DatabaseError):  # of another version too: a ForgottenState is a ValueError
            raise UsageError(
                "`memory` is none of the run that answers; send the window from its beginning, without it."
            ) from None


def _place(run: str) -> str:
    return f"handed:{run}"
