"""Classes by value: one class in the receiver, whose state the receiver may change.

cloudpickle sets all attributes of a class again whenever the class arrives. A counter or a setting
that an initializer or a task has stored in the class would be lost. Here a class gets its state
once; later only what the sender has changed. A fork uses the class that it has.
"""

from __future__ import annotations

__all__ = ("reduce_class",)

import os
import sys
from itertools import count
from weakref import WeakKeyDictionary, WeakValueDictionary

from aconcur._pool_worker.versions import has_changed, version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Identity: TypeAlias = "tuple[bytes, int, int]"
"""The process that sends a class, or that was forked; the number of the class there; its id()."""

_PROCESS: Final = os.urandom(16)
_NUMBERS: Final = count(1)
# The identities of the classes that were sent or received.
_IDENTITIES: Final[WeakKeyDictionary[type, Identity]] = WeakKeyDictionary()
_CLASSES: Final[WeakValueDictionary[Identity, type]] = WeakValueDictionary()
# Of the classes whose state is set: the sender's latest version of each attribute.
_VERSIONS: Final[WeakKeyDictionary[type, dict[str, object]]] = WeakKeyDictionary()


def reduce_class(kind: type, reduced: Any, *, versioned: bool, is_global: bool) -> Any:  # noqa: ANN401
    """Return the reduction of a class, given that of cloudpickle.

    Args:
        kind: the class.
        reduced: how cloudpickle makes it and sets its state.
        versioned: send its changes.
        is_global: it is a global of ``__main__``, which the receiver's ``__main__`` gets.
    """
    make, arguments, ((attributes, slots)), _, _, setter = reduced
    identity = _IDENTITIES.setdefault(kind, (_PROCESS, next(_NUMBERS), id(kind)))
    _VERSIONS.setdefault(kind, {})
    versions = {name: version_of(value) for name, value in attributes.items() if versioned}
    name = kind.__qualname__ if is_global else ""
    state = (attributes, slots), setter, name, versions
    return _made, (make, arguments, identity, name), state, None, None, _set_state


def _made(make: Any, arguments: Any, identity: Identity, name: str) -> type:  # noqa: ANN401
    """Return the class: the one that was received before, the fork's own, or a new one."""
    known = _CLASSES.get(identity)
    if known is None and name and identity[0] == _PROCESS:  # this is a fork of the sender
        own = vars(sys.modules["__main__"]).get(name)
        if isinstance(own, type) and id(own) == identity[2]:
            known = own
            _VERSIONS.setdefault(known, {})
    if known is None:
        known = make(*arguments)  # cloudpickle returns one that it has made before
    _CLASSES[identity] = known
    _IDENTITIES.setdefault(known, identity)
    return known


def _set_state(kind: type, state: Any) -> Any:  # noqa: ANN401
    (attributes, slots), setter, name, versions = state
    seen = _VERSIONS.get(kind)
    has = vars(kind)
    # Another pickler may have brought the class: a library's, or that of an initializer.
    if seen is not None or any(key in has for key in attributes if not key.startswith("__")):
        seen = seen or {}
        attributes = {
            key: value
            for key, value in attributes.items()
            if key not in has
            or (key in versions and has_changed(has[key], value, seen.get(key), versions[key]))
        }
    _VERSIONS[kind] = versions
    setter(kind, (attributes, slots))
    if name:
        setattr(sys.modules["__main__"], name, kind)
    return kind
