"""Before which instructions a switch can make a difference, and where CPython looks for one.

Rule: this file reads code objects and source text; it runs nothing.

"opcode" grain: the language allows a switch before every instruction. One that touches only what
belongs to its own frame (locals, constants, the stack, jumps) commutes with all that other
threads do, so a switch before it leads where a switch before the next instruction leads: only the
others are points. That is the classic reduction to visible operations (Godefroid, "Partial-Order
Methods", 1996). It also makes versions agree, since they differ most in what is left out here.

"gil" grain: CPython 3.11 to 3.13 hands the GIL over only where ``CHECK_EVAL_BREAKER`` stands in
Python/ceval.c (3.11) and Python/bytecodes.c (3.12, 3.13):

- RESUME with an oparg below 2: the start of a function and behind ``yield``, not behind
  ``yield from`` or ``await``;
- jumps backward that are taken: JUMP_BACKWARD, in 3.11 also POP_JUMP_BACKWARD_IF_*;
- CALL, CALL_FUNCTION_EX and 3.13's CALL_KW, behind the call, unless they call a function in
  Python, which is looked at as it starts and not as it returns.

Not at BEFORE_WITH, which takes a lock. Forms that the interpreter specializes once they are warm
(``len(x)``, ``isinstance``, ``list.append``) do not look: the cold ones do, so they count.
"""

from __future__ import annotations

__all__ = ("after_calls", "backward_jumps", "changing_names", "resumes", "visible")

import ast
import dis
import inspect
import linecache
from collections import Counter
from functools import lru_cache
from types import CodeType
from typing import Any, Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Everything that reads or changes an object which another thread can reach, or that may call its
# methods. One name of each version's: what a version lacks never comes up.
_SHARED: Final = _words(
    """
    LOAD_ATTR STORE_ATTR DELETE_ATTR LOAD_METHOD LOAD_SUPER_ATTR LOAD_NAME STORE_NAME
    DELETE_NAME STORE_GLOBAL DELETE_GLOBAL STORE_DEREF DELETE_DEREF LOAD_CLASSDEREF
    LOAD_FROM_DICT_OR_DEREF LOAD_FROM_DICT_OR_GLOBALS BINARY_SUBSCR STORE_SUBSCR
    DELETE_SUBSCR BINARY_SLICE STORE_SLICE CALL CALL_KW CALL_FUNCTION_EX CONTAINS_OP
    COMPARE_OP BINARY_OP UNARY_NEGATIVE UNARY_INVERT UNARY_POSITIVE TO_BOOL GET_ITER
    FOR_ITER UNPACK_SEQUENCE UNPACK_EX LIST_EXTEND SET_UPDATE DICT_UPDATE DICT_MERGE
    FORMAT_VALUE CONVERT_VALUE FORMAT_SIMPLE FORMAT_WITH_SPEC IMPORT_NAME IMPORT_FROM
    IMPORT_STAR BEFORE_WITH WITH_EXCEPT_START LOAD_SPECIAL GET_LEN MATCH_MAPPING
    MATCH_SEQUENCE MATCH_KEYS MATCH_CLASS SEND GET_YIELD_FROM_ITER
    """
)
_NAMED: Final = frozenset(
    ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF", "LOAD_CLASSDEREF")
)
# Until 3.12 these ask an object for its truth; from 3.13 on TO_BOOL does.
_TRUTH: Final = _words(
    """
    POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_TRUE
    POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_TRUE JUMP_IF_FALSE_OR_POP
    JUMP_IF_TRUE_OR_POP UNARY_NOT
    """
)
_TRUTH_IS_ASKED_APART: Final = "TO_BOOL" in dis.opmap
_GIVES_BOOL: Final = frozenset(("COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT"))
_TRANSPARENT: Final = frozenset(("COPY", "PRECALL", "CACHE", "EXTENDED_ARG", "NOP"))
_CONSTANT: Final = frozenset(("LOAD_CONST", "LOAD_SMALL_INT"))
_FROZEN: Final = (int, float, str, bytes, bool, type(None))
_SUSPENDS: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_CALLS: Final = frozenset(("CALL", "CALL_KW", "CALL_FUNCTION_EX"))


def visible(code: CodeType, also_changing: frozenset[str] = frozenset()) -> frozenset[int]:
    """Return the offsets of the instructions that other threads can notice, or be noticed by.

    Args:
        code: what is looked at; inner functions are not.
        also_changing: names of variables that other files may change.
    """
    changing = changing_names(code.co_filename)
    if changing is not None:
        changing |= also_changing
    found: set[int] = set()
    before: list[Any] = []
    for instruction in dis.get_instructions(code):
        if instruction.is_jump_target:
            before = []
        if _is_visible(instruction, before, changing):
            found.add(instruction.offset)
        if instruction.opname not in _TRANSPARENT:
            before = [*before[-1:], instruction]
    return frozenset(found)


def _is_visible(instruction: Any, before: list[Any], changing: frozenset[str] | None) -> bool:
    name = instruction.opname
    last = before[-1].opname if before else ""
    if name in _NAMED and instruction.argval is not None:
        return changing is None or instruction.argval in changing
    if name in _TRUTH:
        return not _TRUTH_IS_ASKED_APART and last not in _GIVES_BOOL
    if name not in _SHARED:
        return False
    if name in ("BINARY_OP", "COMPARE_OP") and last in _CONSTANT:
        # A number or text beside the operator: a list or dict would be an error, except times it
        # or formatted by it; a method of the scenario's own has points of its own.
        frozen = isinstance(before[-1].argval, _FROZEN)
        return not frozen or str(instruction.argrepr)[:1] in "*%["
    if name == "CALL" and last == "GET_ITER":
        return False  # 3.11 calls a comprehension, which later versions put in line
    if name in ("LIST_EXTEND", "SET_UPDATE") and last == "LOAD_CONST":
        return False  # a display of constants
    return not (name == "FORMAT_SIMPLE" and last in ("CONVERT_VALUE", "FORMAT_WITH_SPEC"))


@lru_cache(maxsize=64)
def changing_names(filename: str) -> frozenset[str] | None:
    """Return the names of a file whose variables may change while threads run.

    A variable that is bound once, by its function and outside of loops, is either unbound or what
    it is for good: to read it commutes with all but that one binding, and that is a point itself.
    None stands for a file without a source, in which every name may change. Many a code is called
    ``<string>``, and what linecache has under that name may be another's.
    """
    if filename.startswith("<"):
        return None
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return None
    if not tree.body:
        return None
    names = _Names()
    names.visit(tree)
    names.leave()
    return frozenset(names.changing)


class _Names(ast.NodeVisitor):
    """Collects names that are bound twice, in a loop, from an inner function, or as attributes."""

    def __init__(self) -> None:
        self.changing: set[str] = set()
        self._bound: Counter[str] = Counter()
        self._loops = 0

    def leave(self) -> None:
        self.changing.update(name for name, times in self._bound.items() if times > 1)

    def _bind(self, name: str) -> None:
        self._bound[name] += 2 if self._loops else 1

    def _scope(self, node: Any) -> None:
        if not isinstance(node, ast.Lambda):
            self._bind(node.name)
        outer, self._bound = self._bound, Counter()
        loops, self._loops = self._loops, 0
        self.generic_visit(node)
        self.leave()
        self._bound, self._loops = outer, loops

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _scope  # noqa: N815

    def _loop(self, node: ast.AST) -> None:
        self._loops += 1
        self.generic_visit(node)
        self._loops -= 1

    visit_For = visit_AsyncFor = visit_While = _loop  # noqa: N815
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _loop  # noqa: N815

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        self._bind(node.arg)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.changing.add(node.attr)  # a module's variable, maybe
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.changing.add(node.name)
        self.generic_visit(node)

    def _declared(self, node: Any) -> None:
        self.changing.update(node.names)

    visit_Global = visit_Nonlocal = _declared  # noqa: N815

    def _import(self, node: Any) -> None:
        for alias in node.names:
            self._bind((alias.asname or alias.name).partition(".")[0])

    visit_Import = visit_ImportFrom = _import  # noqa: N815

    def _pattern(self, node: Any) -> None:
        for name in (getattr(node, "name", None), getattr(node, "rest", None)):
            if name:
                self._bind(name)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _pattern  # noqa: N815


def after_calls(code: CodeType) -> dict[int, str]:
    """Return the offset of each call with the name that it calls, for 3.11's tracer."""
    calls: dict[int, str] = {}
    loaded: list[Any] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname in _CALLS:
            calls[instruction.offset] = _callee(loaded, instruction.arg or 0)
        loaded.append(instruction)
    return calls


def _callee(loaded: list[Any], arguments: int) -> str:
    """Return the name that was loaded for a call, by counting the stack backward."""
    needed = arguments
    for instruction in reversed(loaded):
        if instruction.opname in ("PRECALL", "KW_NAMES", "CACHE"):
            continue
        if needed <= 0:
            name = instruction.argval
            return name if instruction.opname.startswith("LOAD_") and name else ""
        try:
            needed -= dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        except ValueError:
            return ""
    return ""


def backward_jumps(code: CodeType) -> dict[int, int]:
    """Return the offset of each backward jump at which the breaker is looked at, and its target."""
    return {
        one.offset: one.argval
        for one in dis.get_instructions(code)
        if "JUMP_BACKWARD" in one.opname and "NO_INTERRUPT" not in one.opname
    }


def resumes(code: CodeType, offset: int) -> bool:
    """Return whether the RESUME at an offset looks at the breaker."""
    if not code.co_flags & _SUSPENDS:
        return True
    return code.co_code[offset + 1] & 3 < 2
