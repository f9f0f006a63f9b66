"""Pauses before something that ended is started again: a process, a server, a background loop."""

# Nearly at once the first time, so that a crash costs a second; and never so often that what cannot start keeps a core
# busy.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
# What lived this long was healthy; its next end starts the pauses anew.
HEALTHY_AFTER_S = 30.0


class Pauses:
    """How long to wait before something that ended is started again."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait now that it has ended after `lived_s` seconds."""
        pause_s = FIRST_PAUSE_S if lived_s >= HEALTHY_AFTER_S else self._next_s
        self._next_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return pause_s
