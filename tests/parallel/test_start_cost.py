"""A worker is ready soon: it imports little, and what it does not need it does without."""

from __future__ import annotations

from aconcur.parallel import COLLECT, open_pool

SLOW = ("asyncio", "enum", "pickle", "re", "signal", "socket", "typing")


async def test_a_fresh_worker_imports_nothing_that_is_slow_to_import() -> None:
    asked = f"[name for name in {SLOW!r} if name in __import__('sys').modules]"
    async with open_pool(1) as pool:
        assert await pool.run(eval, asked) == []
        # What failed is told by traceback, which needs some of them: only then.
        assert await pool.map(eval, ["1 / 0"], on_error=COLLECT).collect() == []
        assert await pool.run(eval, asked) != []
