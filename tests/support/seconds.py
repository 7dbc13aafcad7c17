"""How long something took, where the machine may be busy with other tests."""

import os


def of_children() -> float:
    """Seconds of processor time that the ended children of this process have taken; take the difference of two."""
    times = os.times()
    return times.children_user + times.children_system
