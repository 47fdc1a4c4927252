"""What tuning cost elsewhere: a model's NLL of text that it was not tuned on, after against before."""

from collections.abc import Sequence
from dataclasses import dataclass

from honed.evaluate.comparison import compare_scores
from honed.evaluate.result import nll_per_token


@dataclass(frozen=True)
class Forgetting:
    """NLL per token of `rows` of a source's `all_rows`, with the adapter against without it; negative is better."""

    source: str
    subject: str
    rows: int
    all_rows: int
    tokens: int
    before_nll: float
    after_nll: float
    difference: float
    low: float
    high: float
    sentence: str

    @classmethod
    def of(
        cls,
        source: str,
        all_rows: int,
        subject: str,
        before: Sequence[float],
        after: Sequence[float],
        tokens: Sequence[int],
        seed: int,
    ) -> "Forgetting":
        """From each row's log-likelihood before and after, and its tokens.

        Raises:
            InvalidInput: a log-likelihood is not finite.
        """
        old, new = (nll_per_token(subject, each, tokens) for each in (before, after))
        compared = compare_scores("nll", "the base", subject, old, new, seed, tokens)
        drawn = f" ({compared.rows:,} of {all_rows:,} rows, drawn with seed {seed})" if compared.rows < all_rows else ""
        return cls(
            source=source,
            subject=subject,
            rows=compared.rows,
            all_rows=all_rows,
            tokens=sum(tokens),
            before_nll=compared.a_value,
            after_nll=compared.b_value,
            difference=compared.difference,
            low=compared.low,
            high=compared.high,
            sentence=f"On {source}{drawn}, {compared.sentence}",
        )
