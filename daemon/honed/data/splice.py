"""Chat templates that only put texts in places: rendered once for an order of roles, then by joining strings.

Rendering Jinja takes ten times as long as joining, and as long as tokenising. Whether a template looks at the texts
(trims a composed string, searches, compares, measures) is found out by rendering it with a `_Hole` in the place of each
text: a hole can be written, joined to other text and trimmed by itself, and refuses everything else. So a template is
spliced only if its output cannot depend on what the texts say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

# What a template can raise when it is compiled (Jinja writes Python of it, which has limits of its own) or rendered.
TEMPLATE_ERRORS = (
    *(TemplateError, SyntaxError, AssertionError, MemoryError),
    *(TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError),
)

# A text is not known, but what these say of it is the same for every text.
_TESTS_OF_ANY_TEXT = (
    *("string", "iterable", "sequence", "mapping", "number", "integer", "float", "boolean", "true", "false", "none"),
    *("defined", "undefined", "callable", "escaped"),
)

_Part = str | tuple[int, bool]


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
    probing.tests = {
        name: _of_any_text(test) if name in _TESTS_OF_ANY_TEXT else _guarded(test) for name, test in tests.items()
    }
    probing.getitem = _guarded(probing.getitem)  # a text that chooses an item
    probing.concat = _concat  # what a macro or a block wrote can be looked at as any text
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
            rendered = self._template.render(
                messages=messages, add_generation_prompt=add_generation_prompt, **self._variables
            )
        except (NotSpliceableError, *TEMPLATE_ERRORS):
            return None  # rendering the conversation itself tells what is wrong, if anything is
        constants, places = [""], list[tuple[int, bool]]()
        for part in _parts(rendered):
            if isinstance(part, str):
                constants[-1] += part
            else:
                places.append(part)
                constants.append("")
        return Splice(tuple(constants), tuple(places))


class _Hole:
    """Stands for text that is not known: a sequence of constants and (message, trimmed) places."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[_Part, ...]) -> None:
        self._parts = parts  # the sandbox shows no template what begins with an underscore

    def __add__(self, other: object) -> "_Hole":
        return _Hole((*self._parts, *_parts(other)))

    def __radd__(self, other: object) -> "_Hole":
        return _Hole((*_parts(other), *self._parts))

    def strip(self, *characters: object) -> "_Hole":
        """The text without outer white space; known only where nothing was joined to it."""
        if len(self._parts) != 1 or isinstance(self._parts[0], str) or characters:
            raise NotSpliceableError
        return _Hole(((self._parts[0][0], True),))

    def _refuse(self, *_: object) -> NoReturn:
        raise NotSpliceableError

    __str__ = __repr__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __getattr__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __mul__ = __rmul__ = __mod__ = __rmod__ = _refuse  # pyright: ignore[reportAssignmentType] - all refuse alike
    __format__ = __html__ = __call__ = __int__ = __float__ = __index__ = __hash__ = _refuse  # pyright: ignore[reportAssignmentType] - as above


class _Written(str):
    """A hole on its way to where outputs are joined."""

    hole: _Hole

    def __str__(self) -> str:
        return self  # a copy would be plain text

    def __html__(self) -> NoReturn:
        raise NotSpliceableError


def _parts(value: object) -> tuple[_Part, ...]:
    if isinstance(value, _Hole):
        return value._parts  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - hidden from templates, not from here
    if isinstance(value, str):
        return (value,)
    raise NotSpliceableError


def _written(value: Any) -> Any:
    """What Jinja writes of a value."""
    if not isinstance(value, _Hole):
        return value
    written = _Written()
    written.hole = value
    return written


def _concat(outputs: Iterable[str]) -> "str | _Hole":
    """Outputs joined; with a hole among them they are one themselves."""
    parts = [
        part
        for output in outputs
        for part in (_parts(output.hole) if isinstance(output, _Written) else (output,))
        if part
    ]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else _Hole(tuple(parts))


def _trim(original: Any) -> Any:
    def trim(value: Any, *characters: Any) -> Any:
        return value.strip(*characters) if isinstance(value, _Hole) else original(value, *characters)

    return trim


def _guarded(original: Any) -> Any:
    """A function that refuses holes in whatever it is given; Jinja's own markers on it are kept."""

    def guarded(*arguments: Any, **options: Any) -> Any:
        if any(isinstance(each, _Hole) for each in (*arguments, *options.values())):
            raise NotSpliceableError
        return original(*arguments, **options)

    guarded.__dict__.update(getattr(original, "__dict__", {}))
    return guarded


def _of_any_text(original: Any) -> Any:
    def test(value: Any) -> bool:
        return original("" if isinstance(value, _Hole) else value)

    return test
