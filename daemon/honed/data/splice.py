"""Chat templates that only put texts in places: rendered once for an order of roles, then by joining strings.

Rendering Jinja takes ten times as long as joining, and as long as tokenising. Whether a template looks at the texts
(trims a composed string, searches, compares, measures) is found out by rendering it with a `_Hole` in the place of each
text: a hole can be written, joined to other text and trimmed by itself, and refuses everything else. So a template is
spliced only if its output cannot depend on what the texts say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment


@dataclass(frozen=True, slots=True)
class Splice:
    """A rendered conversation with its texts left out.

    Attributes:
        constants: the text before each message, and after the last one.
        places: for each gap, the message that goes there, and whether its outer white space is trimmed.
    """

    constants: tuple[str, ...]
    places: tuple[tuple[int, bool], ...]

    def fill(self, contents: Sequence[str]) -> str:
        """The conversation with these texts."""
        parts = [self.constants[0]]
        for (index, trimmed), constant in zip(self.places, self.constants[1:], strict=True):
            parts.append(contents[index].strip() if trimmed else contents[index])
            parts.append(constant)
        return "".join(parts)

    def ending_after(self, start: "Splice") -> "Splice | None":
        """What this conversation adds to `start`, if it begins with it."""
        count = len(start.places)
        if self.places[:count] != start.places or self.constants[:count] != start.constants[:count]:
            return None
        joint = self.constants[count]
        if not joint.startswith(start.constants[count]):
            return None
        return Splice((joint[len(start.constants[count]) :], *self.constants[count + 1 :]), self.places[count:])


class NotSpliceableError(Exception):
    """The template did something with a text that joining strings cannot do."""


def probe(environment: ImmutableSandboxedEnvironment, source: str, variables: dict[str, Any]) -> "Prober":
    """Prepares a template for being rendered with holes; `environment` is the one that renders it otherwise."""
    probing: Any = environment.overlay(finalize=_written)
    filters: dict[str, Any] = probing.filters
    tests: dict[str, Any] = probing.tests
    probing.filters = {name: _guarded(function) for name, function in filters.items()}
    probing.filters["trim"] = _trim(filters["trim"])
    probing.tests = tests | {name: _is_text(tests[name]) for name in ("string", "iterable", "sequence")}
    return Prober(probing.from_string(source), variables)


class Prober:
    """Renders a template with holes."""

    def __init__(self, template: Any, variables: dict[str, Any]) -> None:
        self._template = template
        self._variables = variables

    def splice(self, roles: Sequence[str], *, add_generation_prompt: bool) -> Splice | None:
        """The splice for conversations of these roles; None if the texts matter, or the template refuses the roles."""
        messages = [{"role": role, "content": _Hole(((index, False),))} for index, role in enumerate(roles)]
        try:
            text = self._template.render(
                messages=messages, add_generation_prompt=add_generation_prompt, **self._variables
            )
        except (NotSpliceableError, TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            return None  # rendering the conversation itself tells what is wrong, if anything is
        pieces = text.split(_MARK)
        places = tuple((int(piece[1:]), piece[0] == "t") for piece in pieces[1::2])
        return Splice(tuple(pieces[0::2]), places)


_MARK = "\ue0f1\U000f3a77\ue0f2"  # private-use characters, which no template writes


class _Hole:
    """Stands for text that is not known: a sequence of constants and (message, trimmed) places."""

    __slots__ = ("parts",)
    __hash__ = None  # pyright: ignore[reportAssignmentType] - a hole has no value

    def __init__(self, parts: tuple[str | tuple[int, bool], ...]) -> None:
        self.parts = parts

    def __add__(self, other: object) -> "_Hole":
        return _Hole((*self.parts, *_parts(other)))

    def __radd__(self, other: object) -> "_Hole":
        return _Hole((*_parts(other), *self.parts))

    def strip(self, *characters: object) -> "_Hole":
        """The text without outer white space; known only where nothing was joined to it."""
        if len(self.parts) != 1 or isinstance(self.parts[0], str) or characters:
            raise NotSpliceableError
        return _Hole(((self.parts[0][0], True),))

    def _refuse(self, *_: object) -> NoReturn:
        raise NotSpliceableError

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __getattr__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse  # pyright: ignore[reportAssignmentType] - all refuse alike
    __format__ = __html__ = __call__ = __int__ = __float__ = __index__ = _refuse  # pyright: ignore[reportAssignmentType] - as above


def _parts(value: object) -> tuple[str | tuple[int, bool], ...]:
    if isinstance(value, _Hole):
        return value.parts
    if isinstance(value, str):
        return (value,)
    raise NotSpliceableError


def _written(value: Any) -> Any:
    """What is finally written: a hole as its marked places."""
    if not isinstance(value, _Hole):
        return value
    return "".join(
        part if isinstance(part, str) else f"{_MARK}{'t' if part[1] else 'p'}{part[0]}{_MARK}" for part in value.parts
    )


def _trim(original: Any) -> Any:
    def trim(value: Any, *characters: Any) -> Any:
        return value.strip(*characters) if isinstance(value, _Hole) else original(value, *characters)

    return trim


def _guarded(original: Any) -> Any:
    """A filter that refuses holes in whatever it is given; Jinja's own markers on it are kept."""

    def guarded(*arguments: Any, **options: Any) -> Any:
        if any(isinstance(each, _Hole) for each in (*arguments, *options.values())):
            raise NotSpliceableError
        return original(*arguments, **options)

    guarded.__dict__.update(getattr(original, "__dict__", {}))
    return guarded


def _is_text(original: Any) -> Any:
    def test(value: Any) -> bool:
        return True if isinstance(value, _Hole) else original(value)

    return test
