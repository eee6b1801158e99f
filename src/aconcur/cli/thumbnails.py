"""``aconcur thumbnails``: download pictures, shrink them, store or upload them; resumable."""

from __future__ import annotations

__all__ = ("add_arguments", "run", "urls_of")

import argparse
import codecs
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio

from aconcur.cli.command_line import UsageError
from aconcur.cli.pictures import Folder, Network, Picture, PleaseRetryError, named, shrink
from aconcur.errors import AconcurError, MissingRequirementError
from aconcur.parallel import open_pool, usable_cpus
from aconcur.pipeline import Failure, Journal, PipelineReport, Retry, stage

_WEB: Final = ("http://", "https://")
_RETRY: Final = Retry(3, backoff=0.2, longest=5, on=PleaseRetryError)


class NotAllMadeError(AconcurError):
    """Raised when some thumbnails could not be made. Each was named on stderr."""

    def __init__(self, failed: int, total: int, journal: Journal | None) -> None:
        again = "see the lines above"
        if journal is not None:
            again = f"aconcur journal retry {journal.path} lets the next run try them again"
        super().__init__(f"{failed} of {total} thumbnails could not be made: {again}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Download pictures, shrink each in a worker process, and write it into a folder or PUT it "
        "to a URL, many at once. Prints where each thumbnail is. No file is replaced: if a name is "
        "taken by another picture, the thumbnail gets a longer one (a server must honour "
        "If-None-Match for this). Pictures of more than 50 million pixels or 32 MB are refused. A "
        "server that answers with Retry-After is asked again after that time, at most 120 s."
    )
    parser.epilog = "A picture that fails is named on stderr; the exit code is then 1."
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="URL|FILE",
        help="http(s) URLs, or text files with one URL a line; - for stdin",
    )
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
    pictures = named(url for source in chosen.sources for url in urls_of(source))
    if not pictures:
        raise UsageError("there is no URL to start with: the named files contain none")
    journal = None
    if chosen.resume:
        # Of another size or in another place they would not be the same thumbnails. The folder is
        # resolved: the same words in another working directory name another folder.
        to = chosen.to if "://" in chosen.to else Path(chosen.to).resolve()
        of = f"--size {chosen.size} --to {to}"
        journal = Journal(chosen.resume, of=of.encode(errors="backslashreplace").decode())
    failures = anyio.run(_make, chosen, pictures, journal)
    if failures:
        print(*failures, sep="\n", file=sys.stderr)
        raise NotAllMadeError(len(failures), len(pictures), journal)


def urls_of(source: str) -> Iterator[str]:
    """Yield a URL, or those in a file: one a line, where lines that begin with # are comments."""
    if "://" in source:
        yield _checked(source)
        return
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError:
        raise UsageError(f"{source} is not a list of URLs: it is not text in UTF-8") from None
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if url and not url.startswith("#"):
            yield _checked(url, f"{source}, line {number}: ")


def _encoding(data: bytes) -> str:
    """Return the encoding of a text, by its byte order mark: Windows programs write one."""
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if utf_16 else "utf-8-sig"


def _checked(url: str, where: str = "") -> str:
    """Return the URL, if it is valid."""
    try:
        parts = urlsplit(url)
        fine = url.startswith(_WEB) and parts.hostname and parts.port != 0
    except ValueError:  # an invalid address or port
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
