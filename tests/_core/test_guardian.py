"""The table of processes that must not outlive the program."""

from __future__ import annotations

import threading

from aconcur._core.guardian import Guardian


def test_slots_are_used_again() -> None:
    guardian = Guardian()
    try:
        first, second = guardian.reserve(), guardian.reserve()
        assert first != second
        guardian.watch(first, b"g", 4_194_304)
        guardian.release(first)
        assert guardian.reserve() == first
        threads = [threading.Thread(target=guardian.reserve) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert guardian.reserve() == second + 9
    finally:
        # Nothing that is watched may be left when its pipe closes.
        for slot in range(second + 10):
            guardian.release(slot)
        guardian.forget()
