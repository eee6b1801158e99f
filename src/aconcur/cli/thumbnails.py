"""``aconcur thumbnails``: download pictures, make them small, keep or upload them; resumable."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio

from aconcur.cli.command_line import UsageError
from aconcur.cli.thumbnail_io import Folder, Network, Picture, PleaseRetryError, named, shrink
from aconcur.errors import AconcurError, MissingRequirementError
from aconcur.parallel import open_pool, usable_cpus
from aconcur.pipeline import Failure, Journal, PipelineReport, Retry, stage

_WEB: Final = ("http://", "https://")
_RETRY: Final = Retry(3, backoff=0.2, longest=5, on=PleaseRetryError)


class NotAllMadeError(AconcurError):
    """Raised when some thumbnails could not be made: each has been named on stderr."""

    def __init__(self, failed: int, total: int, journal: Journal | None) -> None:
        again = "see the lines above"
        if journal is not None:
            again = f"aconcur journal retry {journal.path} lets the next run try them again"
        super().__init__(f"{failed} of {total} thumbnails could not be made: {again}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Download pictures, shrink each in a worker process, and write it into a folder or PUT it "
        "to a URL, many at once. Prints where each thumbnail is. Pictures of more than 50 million "
        "pixels or 32 MB are refused."
    )
    parser.epilog = "A picture that fails is named on stderr; the exit code is then 1."
    add = parser.add_argument
    add("sources", nargs="+", metavar="URL|FILE", help="http(s) URLs; files of them; - for stdin")
    add("--to", required=True, metavar="DIR|URL", help="folder, or URL to PUT to: URL/NAME.jpg")
    add("--size", type=int, default=256, help="most pixels of the longer side (default: 256)")
    add("--workers", type=int, default=16, help="downloads, and uploads, at once (default: 16)")
    add("--timeout", type=float, default=30.0, help="seconds an attempt may take (default: 30)")
    add("--resume", metavar="DB", help="journal: the same command later does only the rest")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    for module in ("httpx2", "PIL"):
        if find_spec(module) is None:
            raise MissingRequirementError(f"module {module}", "pip install 'aconcur[images]'")
    for name in ("size", "workers", "timeout"):
        if not (value := getattr(chosen, name)) > 0:
            raise UsageError(f"--{name} must be more than 0, not {value}")
    if "://" in chosen.to:
        _checked(chosen.to, "--to: ")
    pictures = named(url for source in chosen.sources for url in _urls(source))
    if not pictures:
        raise UsageError("there is no URL to begin with: the files that were named hold none")
    journal = None
    if chosen.resume:
        # Made small in another way or put elsewhere, they would not be the same thumbnails.
        of = f"--size {chosen.size} --to {chosen.to}"
        journal = Journal(chosen.resume, of=of.encode(errors="backslashreplace").decode())
    failures = anyio.run(_make, chosen, pictures, journal)
    if failures:
        print(*failures, sep="\n", file=sys.stderr)
        raise NotAllMadeError(len(failures), len(pictures), journal)


def _urls(source: str) -> Iterator[str]:
    """Return a URL, or those in a file: one a line; lines that begin with # are comments."""
    if "://" in source:
        yield _checked(source)
        return
    if source == "-":
        text = sys.stdin.read().removeprefix("\ufeff")
    else:
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"{source} is not a list of URLs: it is not text in UTF-8") from None
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if url and not url.startswith("#"):
            yield _checked(url, f"{source}, line {number}: ")


def _checked(url: str, where: str = "") -> str:
    """Return the URL, if it can be one."""
    try:
        parts = urlsplit(url)
        fine = url.startswith(_WEB) and parts.hostname and parts.port != 0
    except ValueError:  # of an address or a port that none can be
        fine = False
    if not fine:
        raise UsageError(f"{where}{url[:80]!r} is not an http or https URL")
    return url


async def _make(
    chosen: argparse.Namespace, pictures: Sequence[Picture], journal: Journal | None
) -> list[str]:
    """Make all thumbnails; return a line for each that could not be made."""
    failed: dict[str, str] = {}

    def note(failure: Failure) -> None:
        picture: Picture = failure.item
        failed[picture.url] = f"{failure.stage}: {failure.error}"

    report = await _run(chosen, pictures, journal, note)
    print(report, file=sys.stderr)
    if journal is not None:
        urls = {picture.url for picture in pictures}
        for known in await anyio.to_thread.run_sync(journal.failures):
            if known.key in urls:
                said = known.error.partition(": ")[2] or known.error
                failed.setdefault(str(known.key), f"{known.stage}: {said}")
    return [f"aconcur: {url}: {said}" for url, said in failed.items()]


async def _run(
    chosen: argparse.Namespace,
    pictures: Sequence[Picture],
    journal: Journal | None,
    note: Callable[[Failure], None],
) -> PipelineReport:
    workers, processes = chosen.workers, usable_cpus()
    async with Network.open(2 * workers, chosen.timeout) as network:
        keep: Callable[[Picture], Awaitable[str]] = partial(network.upload, chosen.to)
        if not chosen.to.startswith(_WEB):
            keep = Folder(Path(chosen.to)).save
        async with open_pool(processes) as pool:
            thumbnails = (
                stage(
                    network.download,
                    workers=workers,
                    retry=_RETRY,
                    on_error=note,
                    ordered=False,
                )
                .map(
                    partial(shrink, size=chosen.size),
                    name="shrink",
                    workers=2 * processes,
                    via=pool,
                    on_error=note,
                    ordered=False,
                )
                .map(
                    keep,
                    name="keep",
                    workers=workers,
                    retry=_RETRY,
                    on_error=note,
                    ordered=False,
                )
                .map(partial(print, flush=True), name="print")
            )
            return await thumbnails.run(
                pictures,
                unwrap=True,
                progress=True,
                journal=journal,
                key=None if journal is None else _url,
            )


def _url(picture: Picture) -> str:
    return picture.url
