"""Token ids to text as they come: characters that span tokens, and stop strings that span anything."""

from collections.abc import Callable, Sequence

_HALF = "\ufffd"


class ReplyText:
    """Turns the tokens of one reply into pieces of text that are final when given out.

    A piece is held back while it may be the beginning of a stop string, or half a character. What a stop string
    begins is never given out.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str]) -> None:
        self._decode = decode
        self._stops = tuple(stops)
        self._ids: list[int] = []
        self._start = 0  # decoding begins here: far enough back for spaces and joined characters to come out right
        self._taken = 0  # tokens whose text has been taken: what stands before is whole characters
        self._shown = 0  # characters of decode(ids[start:]) already taken
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that has become final with a token; sets `stopped` once a stop string is complete."""
        self._ids.append(token)
        text = self._decode(self._ids[self._start :])
        if text.endswith(_HALF):
            return ""
        self._held += text[self._shown :]
        # Decode from the last whole characters on next time: their text is known, what follows may depend on it. Not
        # from within a character: a tokenizer with byte fallback gives up on all bytes around a broken one.
        self._start, self._taken = self._taken, len(self._ids)
        self._shown = len(self._decode(self._ids[self._start :]))
        return self._release()

    def finish(self) -> str:
        """What is still held back at the end, half characters included."""
        if self.stopped:
            return ""
        rest = self._held + self._decode(self._ids[self._start :])[self._shown :]
        self._held = ""
        return rest

    def _release(self) -> str:
        ends = [place for place in (self._held.find(stop) for stop in self._stops) if place >= 0]
        if ends:
            self.stopped = True
            return self._held[: min(ends)]
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        piece, self._held = self._held[:cut], self._held[cut:]
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
