import subprocess
import sys
import unicodedata

from honed.client.cli.report_text import WIDTH, summary
from hypothesis import given, settings
from hypothesis import strategies as st


def subject(label, **metrics):
    figures = [
        {"name": metric, "value": value, "low": low, "high": high} for metric, (value, low, high) in metrics.items()
    ]
    return {"label": label, "metrics": figures}


def report(subjects, *sentences, headline=""):
    return {"headline": headline, "subjects": subjects, "comparisons": [{"sentence": text} for text in sentences]}


def columns(line):
    """What a terminal needs for a line, counted apart from the code under test: East Asian wide and full count two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_subjects_stand_beside_their_metrics_with_intervals():
    shown = summary(
        report(
            [
                subject("base 12-shot", accuracy=(0.225, 0.15, 0.3), macro_f1=(0.2, 0.1, 0.25)),
                subject("base 12-shot by likelihood", accuracy=(0.25, 0.175, 0.3333), nll=(1.5, 1.25, 2.0)),
            ],
            "tuned is better than base 12-shot on 120 rows.",
            headline="tuned is better than base 12-shot on 120 rows. So is served.",
        )
    )
    assert shown == (
        "tuned is better than base 12-shot on 120 rows. So is served.\n"
        "\n"
        "SUBJECT                     ACCURACY              MACRO F1              NLL\n"
        "base 12-shot                0.225 [0.150, 0.300]  0.200 [0.100, 0.250]  –\n"
        "base 12-shot by likelihood  0.250 [0.175, 0.333]  –                     1.500 [1.250, 2.000]"
    )


def test_metrics_that_do_not_fit_beside_each_other_stand_in_further_tables():
    metrics = {f"metric_{place}": (0.5, 0.4, 0.6) for place in range(5)}
    assert summary(report([subject("base", **metrics)])).split("\n\n")[1] == (
        "SUBJECT  METRIC 4\nbase     0.500 [0.400, 0.600]"
    )


def test_bleu_is_shown_in_points():
    assert "BLEU\nbase     31.4 [29.6, 33.2]" in summary(report([subject("base", bleu=(31.42, 29.61, 33.18))]))


def test_only_the_first_verdicts_are_shown_and_the_rest_counted():
    shown = summary(report([], *(f"{place} is better than base." for place in range(9))))
    assert shown.splitlines()[:5] == [f"{place} is better than base." for place in range(5)]
    assert shown.endswith("\n\nFurther comparisons in the report: 4.")


def test_a_report_without_figures_is_its_headline():
    assert summary({"headline": "Nothing was asked."}) == "Nothing was asked."
    assert summary({"subjects": None, "comparisons": None}) == ""


def test_answers_that_were_cut_are_said():
    cut = subject("base 4-shot", accuracy=(0.5, 0.4, 0.6)) | {"cut_answers": 1200}
    whole = subject("tuned", accuracy=(0.5, 0.4, 0.6)) | {"cut_answers": 0}
    shown = summary(report([cut, whole]))
    assert "\n\n1,200 answers of base 4-shot were cut at the longest answer allowed." in shown
    assert shown.count("cut") == 1


def test_a_figure_that_is_missing_is_a_dash():
    assert "– [–, –]" in summary(report([subject("base", nll=(None, None, None))]))


def test_text_of_a_report_cannot_steer_the_terminal():
    shown = summary(
        report([subject("a\x1b[2J\nb", accuracy=(0.5, 0.4, 0.6))], "x\r\x9b31m \u202etxet", headline="\x07")
    )
    assert "a\\x1b[2J\\nb" in shown
    assert "x\\r\\x9b31m \\u202etxet" in shown
    assert not [character for character in shown if unicodedata.category(character) == "Cc" and character != "\n"]


texts = st.text(st.sampled_from("ab _-語🙂é\u0301\x1b\n\u202e"), max_size=150)
figures = st.none() | st.floats(0, 1)


@given(
    st.lists(texts, min_size=1, max_size=8),
    st.lists(texts, min_size=1, max_size=6, unique=True),
    texts,
    st.lists(texts, max_size=8),
    st.tuples(figures, figures, figures),
)
@settings(max_examples=60, deadline=None)
def test_no_line_is_wider_than_the_screen_and_every_subject_has_its_line(names, metrics, headline, sentences, figure):
    subjects = [subject(name, **dict.fromkeys(metrics, figure)) for name in names]
    lines = summary(report(subjects, *sentences, headline=headline)).split("\n")
    assert max(columns(line) - line.count("\u0301") for line in lines) <= WIDTH
    tables = [place for place, line in enumerate(lines) if line.startswith("SUBJECT")]
    assert tables
    assert all("" not in lines[table : table + 1 + len(names)] for table in tables)


def test_the_summary_loads_no_third_party_module():
    code = (
        "import sys; before = set(sys.modules); import honed.client.cli.report_text; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "honed\n"
