"""Which item of the source a result comes from: how a journal learns that an item is done.

Rule 1: an item of the source is an entry; whatever it becomes on its way carries that entry.
Rule 2: an entry is done when all that it became has left the last stage or was filtered, and
nothing of it failed. It is recorded in that step, before the consumer can have the result.
Rule 3: stages' functions, their errors and their failures see items, never what carries them.
"""

from __future__ import annotations

__all__ = ("Book", "Trace")

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from aconcur.pipeline._calls import Call
from aconcur.pipeline._errors import JournalError
from aconcur.pipeline._journal_file import Failed, Key, Known, State
from aconcur.pipeline._journal_writer import Writer
from aconcur.pipeline._link import GONE
from aconcur.pipeline._options import RAISE, Failure

if TYPE_CHECKING:
    from aconcur.pipeline._stage import Stage

KeyOf: TypeAlias = Callable[[Any], Key]
_LARGEST: Final = 2**63


@final
class _Entry:
    """An item of the source, and how many parts of it are under way."""

    __slots__ = ("alive", "failed", "key", "mended", "results")

    def __init__(self, key: Key, mended: bool) -> None:
        self.key, self.mended = key, mended
        self.alive, self.failed = 1, False
        self.results: list[Any] = []


@final
class _Token:
    """What carries an item, or a part of one, or parts of several."""

    __slots__ = ("entries", "item")

    def __init__(self, item: Any, entries: tuple[_Entry, ...]) -> None:  # noqa: ANN401
        self.item, self.entries = item, entries


@final
class Book:
    """What a run does with its journal.

    Args:
        writer: writes it.
        known: what it has of earlier runs; changed here.
        key: tells items apart.
        dump: makes of an entry's results what is recorded; None: results are not kept.
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

    def trace(self, stage: Stage, *, last: bool) -> Trace:
        """Return a stage's part in it."""
        return Trace(self, stage, last=last)

    def results(self) -> list[Any]:
        """Return what all items became, in the order of the source."""
        return [result for results in self._gathered for result in results]

    def drawn(
        self, source: Iterable[Any] | AsyncIterable[Any]
    ) -> Iterator[_Token] | AsyncIterable[_Token]:
        """Return the source, without what needs not be done again."""
        if isinstance(source, AsyncIterable):
            return _AsyncDraw(self, source)
        return (token for item in source if (token := self.admit(item)) is not None)

    def admit(self, item: object) -> _Token | None:
        """Return what carries the item; None if the journal has it."""
        key = _checked(item if self._key is None else self._key(item), item)
        state = self._known.get(key)
        if state is State.DRAWN:
            raise JournalError(
                f"key {key!r} came twice: keys must be unique; give key= a function that tells "
                "the items apart"
            )
        self._known[key] = State.DRAWN
        if state is State.DONE or state is State.FAILED:
            self.skipped += 1
            if self._recorded is not None and state is State.DONE:
                self._gathered.append(self._recorded[key])
            return None
        entry = _Entry(key, state is State.AGAIN)
        if self._recorded is not None:
            self._gathered.append(entry.results)
        return _Token(item, (entry,))

    def leave(self, token: _Token, *results: object) -> None:
        """Note that what the token carried is through, as these results."""
        for entry in token.entries:
            if self._dump is not None:
                entry.results += results
            entry.alive -= 1
            if not entry.alive and not entry.failed:
                self._done(entry)

    def _done(self, entry: _Entry) -> None:
        results = None
        if self._dump is not None:
            try:
                results = self._dump(entry.results)
            except Exception as error:  # noqa: BLE001 - whatever the results' own methods raise
                problem = JournalError(
                    f"the results of {entry.key!r} cannot be recorded: {error}; give the Journal "
                    "dump= and load= that suit them"
                )
                problem.__cause__ = error
                self._fail(problem)
                return
        self.writer.add((entry.key, results, entry.mended))

    def failed(self, token: _Token, failure: Failure, *, again: bool) -> None:
        """Note that a stage failed on what the token carries."""
        error = f"{type(failure.error).__name__}: {_said(failure.error)}".removesuffix(": ")
        for entry in token.entries:
            entry.alive -= 1
            if not entry.failed:
                entry.failed = True
                self.writer.add(Failed(entry.key, failure.stage, error, failure.attempts, again))


@final
class Trace:
    """The part of a stage in it.

    Args:
        book: of the run.
        stage: the stage.
        last: whether results of this stage are those of the pipeline.
    """

    def __init__(self, book: Book, stage: Stage, *, last: bool) -> None:
        self.book, self._stage, self._last = book, stage, last

    def call(self, call: Call) -> Call:
        """Return what a worker calls with a token."""
        if self._stage.spec.kind == "filter":
            return partial(self._filtered, call)
        if self._stage.spec.kind == "flat_map":
            return partial(self._flattened, call)
        return self._mapping_last(call) if self._last else _mapping(call)

    def _mapping_last(self, call: Call) -> Call:
        writer, leave = self.book.writer, self.book.leave

        async def mapped(token: _Token) -> Any:  # noqa: ANN401
            if writer.behind:
                await writer.until_room()
            result = await call(token.item)
            leave(token, result)
            return result

        return mapped

    async def _filtered(self, call: Call, token: _Token) -> Any:  # noqa: ANN401
        await self._until_room()
        if not await call(token.item):
            self._stage.filtered += 1
            self.book.leave(token)
            return GONE
        return self.passed(token)

    async def _flattened(self, call: Call, token: _Token) -> Any:  # noqa: ANN401
        await self._until_room()
        results = await call(token.item)
        found: Any = GONE
        if isinstance(results, AsyncIterable):
            if self._stage.in_order:
                listed = [result async for result in results]
                found = [self._part(token, result) for result in listed]
            else:
                await self._stage.emit_all(self._parts_as_they_come(token, results))
        elif self._stage.in_order:
            # All at first: an attempt that fails in the middle leaves no parts.
            found = [self._part(token, result) for result in list(results)]
        else:
            await self._stage.emit_all(self._part(token, result) for result in results)
        self.book.leave(token)
        return found

    async def _parts_as_they_come(
        self, token: _Token, results: AsyncIterable[Any]
    ) -> AsyncIterator[Any]:
        async for result in results:
            yield self._part(token, result)

    def _part(self, token: _Token, result: object) -> Any:  # noqa: ANN401
        part = _Token(result, token.entries)
        for entry in token.entries:
            entry.alive += 1
        return self.passed(part)

    def join(self, tokens: list[_Token]) -> Any:  # noqa: ANN401
        """Make a batch of what the tokens carry."""
        entries = tuple(entry for token in tokens for entry in token.entries)
        return self.passed(_Token([token.item for token in tokens], entries))

    def passed(self, token: _Token) -> Any:  # noqa: ANN401
        """Return what leaves the stage where it leaves as it is."""
        if not self._last:
            return token
        self.book.leave(token, token.item)
        return token.item

    async def failed(
        self,
        token: _Token,
        error: Exception,
        attempts: int,
        react: Callable[[Failure], Awaitable[Any]],
    ) -> Any:  # noqa: ANN401
        """Note that the stage failed on what a token carries; return what comes of it, or raise."""
        spec = self._stage.spec
        failure = Failure(token.item, spec.name, error, attempts)
        if spec.options.on_error is RAISE:
            self.book.failed(token, failure, again=True)
            return await react(failure)
        result = await react(failure)
        self.book.failed(token, failure, again=False)
        return result

    async def _until_room(self) -> None:
        if self.book.writer.behind:
            await self.book.writer.until_room()


def _mapping(call: Call) -> Call:
    async def mapped(token: _Token) -> _Token:
        token.item = await call(token.item)
        return token

    return mapped


@final
class _AsyncDraw:
    """An async source, without what needs not be done again."""

    def __init__(self, book: Book, source: AsyncIterable[Any]) -> None:
        self._book, self._source = book, aiter(source)

    def __aiter__(self) -> _AsyncDraw:
        return self

    async def __anext__(self) -> _Token:
        while (token := self._book.admit(await anext(self._source))) is None:
            pass
        return token

    async def aclose(self) -> None:
        if hasattr(self._source, "aclose"):
            await self._source.aclose()


def _said(error: BaseException) -> str:
    """Return the error's text as SQLite can take it: a file's name may be no text."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - an error's __str__ is not ours
        return ""


def _checked(key: object, item: object) -> Key:
    """Return the key, if the journal can find it again."""
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
