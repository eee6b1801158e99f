"""Which item of the source a result comes from: how a journal learns that an item is done.

The invariants are those of this folder's ``__init__``.
"""

from __future__ import annotations

__all__ = ("JournalTracker",)

from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, final

from aconcur.pipeline._buffer import DROPPED
from aconcur.pipeline._errors import Failure, JournalError
from aconcur.pipeline._journal.store import Failed, Key, Known, State
from aconcur.pipeline._journal.writer import Writer
from aconcur.pipeline._spec import RAISE
from aconcur.pipeline._stage import Call, Stage

KeyOf: TypeAlias = Callable[[Any], Key]
_LARGEST: Final = 2**63
# Recorded items that are passed over between two yields to other tasks: some 0.1 ms.
_STRIDE: Final = 256


@final
class _SourceItem:
    """An item of the source, and how many parts of it are under way."""

    __slots__ = ("alive", "failed", "key", "results", "retried")

    def __init__(self, key: Key, retried: bool) -> None:
        self.key, self.retried = key, retried
        self.alive, self.failed = 1, False
        self.results: list[Any] = []


@final
class _Carrier:
    """Carries an item, or a part of one, or parts of several, from stage to stage."""

    __slots__ = ("item", "sources")

    def __init__(self, item: Any, sources: tuple[_SourceItem, ...]) -> None:  # noqa: ANN401
        self.item, self.sources = item, sources


@final
class JournalTracker:
    """Follows the items of one run, and records what becomes of them.

    Args:
        writer: writes the records.
        known: the keys of earlier runs; changed here.
        key: tells items apart.
        dump: makes of the results of one item what is recorded; None: results are not kept.
        recorded: results of earlier runs, if all are to be gathered.
        fail: ends the run with an error.
    """

    def __init__(
        self,
        writer: Writer,
        known: Known,
        key: KeyOf | None,
        dump: Callable[[list[Any]], str | bytes] | None,
        recorded: Mapping[Key, list[Any]] | None,
        fail: Callable[[JournalError], None],
    ) -> None:
        self.writer, self._known, self._key, self._dump = writer, known, key, dump
        self._recorded, self._fail = recorded, fail
        self._gathered: list[list[Any]] = []
        self.skipped = 0

    def of_stage(self, stage: Stage, *, last: bool) -> _StageTracking:
        """Return the tracker of a stage.

        Args:
            stage: the stage.
            last: whether its results are those of the pipeline.
        """
        return _StageTracking(self, stage, last=last)

    def results(self) -> list[Any]:
        """Return the results of all items, in the order of the source."""
        return [result for results in self._gathered for result in results]

    # ------------------------------------------------------------- the source

    def admitted(self, items: Iterable[Any]) -> Generator[Any, None, None]:
        """Yield what carries each item; now and then DROPPED, where items are left out."""
        left_out = 0
        for item in items:
            if (carrier := self.admit(item)) is not DROPPED:
                yield carrier
            else:
                left_out += 1
                if not left_out % _STRIDE:
                    yield DROPPED

    def admit(self, item: object) -> Any:  # noqa: ANN401
        """Return what carries the item; DROPPED if the journal has it, or refuses its key."""
        try:
            key = _checked(item if self._key is None else _called(self._key, item), item)
            state = self._known.get(key)
            if state is State.DRAWN:
                raise JournalError(
                    f"key {key!r} came twice: keys must be unique; give key= a function that tells "
                    "the items apart"
                )
        except JournalError as error:
            self._fail(error)
            return DROPPED
        self._known[key] = State.DRAWN
        if state is State.DONE or state is State.FAILED:
            self.skipped += 1
            if self._recorded is not None and (results := self._recorded.get(key)):
                self._gathered.append(results)
            return DROPPED
        source = _SourceItem(key, state is State.AGAIN)
        if self._recorded is not None:
            self._gathered.append(source.results)
        return _Carrier(item, (source,))

    # ------------------------------------------------------------- the end

    def finish(self, carrier: _Carrier, *results: object) -> None:
        """Note that these are the results of what the carrier carried."""
        for source in carrier.sources:
            if self._dump is not None:
                source.results += results
            self._settle(source)

    def failed(self, carrier: _Carrier, failure: Failure, *, again: bool) -> None:
        """Note that a stage failed on what the carrier carries."""
        error = f"{type(failure.error).__name__}: {_text(failure.error)}".removesuffix(": ")
        for source in carrier.sources:
            if not source.failed:
                source.failed = True
                self.writer.add(Failed(source.key, failure.stage, error, failure.attempts, again))
            self._settle(source)

    def _settle(self, source: _SourceItem) -> None:
        source.alive -= 1
        if source.alive or (source.failed and not source.results):
            return
        results = None
        if self._dump is not None:
            try:
                results = self._dump(source.results)
            except Exception as error:  # noqa: BLE001 - anything that the results' methods raise
                problem = JournalError(
                    f"the results of {source.key!r} cannot be recorded: {error}; give the Journal "
                    "dump= and load= that suit them"
                )
                problem.__cause__ = error
                self._fail(problem)
                return
        if source.failed:
            self.writer.add((source.key, results))
        else:
            self.writer.add((source.key, results, source.retried))


@final
class _StageTracking:
    """Implements the ``StageTracker`` of a stage."""

    def __init__(self, tracker: JournalTracker, stage: Stage, *, last: bool) -> None:
        self._tracker, self._stage, self._last = tracker, stage, last

    def wrap(self, call: Call) -> Call:
        if self._stage.spec.kind == "filter":
            return partial(self._filtered, call)
        if self._stage.spec.kind == "flat_map":
            return partial(self._flattened, call)
        return self._mapping_last(call) if self._last else _mapping(call)

    def _mapping_last(self, call: Call) -> Call:
        writer, finish = self._tracker.writer, self._tracker.finish

        async def mapped(carrier: _Carrier) -> Any:  # noqa: ANN401
            if writer.behind:
                await writer.until_room()
            result = await call(carrier.item)
            finish(carrier, result)
            return result

        return mapped

    async def _filtered(self, call: Call, carrier: _Carrier) -> Any:  # noqa: ANN401
        await self._until_room()
        if not await call(carrier.item):
            self._stage.filtered += 1
            self._tracker.finish(carrier)
            return DROPPED
        return self.passed(carrier)

    async def _flattened(self, call: Call, carrier: _Carrier) -> Any:  # noqa: ANN401
        await self._until_room()
        results = await call(carrier.item)
        found: Any = DROPPED
        if self._stage.in_order:
            # All at first: an attempt that fails half-way leaves no parts.
            if isinstance(results, AsyncIterable):
                listed = [result async for result in results]
            else:
                listed = list(results)
            found = [self._part(carrier, result) for result in listed]
        else:
            await self._stage.emit_all(results, partial(self._part, carrier))
        self._tracker.finish(carrier)
        return found

    def _part(self, carrier: _Carrier, result: object) -> Any:  # noqa: ANN401
        part = _Carrier(result, carrier.sources)
        for source in carrier.sources:
            source.alive += 1
        return self.passed(part)

    def join(self, carriers: list[_Carrier]) -> Any:  # noqa: ANN401
        sources = tuple(source for carrier in carriers for source in carrier.sources)
        return self.passed(_Carrier([carrier.item for carrier in carriers], sources))

    def passed(self, carrier: _Carrier) -> Any:  # noqa: ANN401
        if not self._last:
            return carrier
        self._tracker.finish(carrier, carrier.item)
        return carrier.item

    async def failed(
        self,
        carrier: _Carrier,
        error: Exception,
        attempts: int,
        apply: Callable[[Failure], Awaitable[Any]],
    ) -> Any:  # noqa: ANN401
        spec = self._stage.spec
        failure = Failure(carrier.item, spec.name, error, attempts)
        try:
            if spec.options.on_error is RAISE:
                self._tracker.failed(carrier, failure, again=True)
                return await apply(failure)
            result = await apply(failure)
            self._tracker.failed(carrier, failure, again=False)
            return result
        finally:
            del error, failure

    def unstarted(self, carrier: _Carrier, error: BaseException) -> None:
        failure = Failure(carrier.item, self._stage.spec.name, error, 1)
        self._tracker.failed(carrier, failure, again=True)

    async def _until_room(self) -> None:
        if self._tracker.writer.behind:
            await self._tracker.writer.until_room()


def _mapping(call: Call) -> Call:
    async def mapped(carrier: _Carrier) -> _Carrier:
        carrier.item = await call(carrier.item)
        return carrier

    return mapped


def _text(error: BaseException) -> str:
    """Return the error's text as SQLite can take it: a file name in it may be invalid UTF-8."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - an error's __str__ is the program's
        return ""


def _called(key_of: KeyOf, item: object) -> object:
    try:
        return key_of(item)
    except Exception as error:
        raise JournalError(
            f"key= failed on item {item!r:.60}: {type(error).__name__}: {error}"
        ) from error


def _checked(key: object, item: object) -> Key:
    """Return the key, if the journal can find it again.

    Raises:
        JournalError: it cannot.
    """
    if isinstance(key, str):
        if not key.isascii():
            try:
                key.encode()
            except UnicodeEncodeError:
                raise JournalError(
                    f"key {key!r} has a lone surrogate: encode it to bytes"
                ) from None
        return key
    if isinstance(key, bytes):
        return key
    if isinstance(key, int):
        if -_LARGEST <= key < _LARGEST:
            return key
        raise JournalError(f"key {key} has more than 64 bits: use its str()")
    of = "" if key is item else f" of item {item!r:.60}"
    raise JournalError(
        f"key {key!r:.60}{of} is a {type(key).__name__}: give key= a function that returns a str, "
        "an int or bytes for each item"
    )
