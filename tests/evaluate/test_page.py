import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers.sample_report import classification_report, many_labels_report, text_report
from honed.evaluate import page
from honed.evaluate.page import MOST_CELLS, render_page
from hypothesis import given, settings
from hypothesis import strategies as st

VOID = {"meta", "link", "br", "wbr"}
INLINE = {"wbr", "b", "small", "em", "i", "bdi", "span", "code", "time"}
TAGS = (
    VOID
    | INLINE
    | {
        *(
            "html",
            "head",
            "title",
            "style",
            "body",
            "header",
            "main",
            "footer",
            "section",
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "div",
        ),
        *("figure", "figcaption", "dl", "dt", "dd", "ul", "ol", "li", "details", "summary"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
        *("svg", "line", "circle", "rect", "path", "polyline", "text", "tspan"),
    }
)
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "id", "class", "role", "tabindex", "title"),
    *("style", "dir", "scope", "colspan", "datetime", "aria-label", "aria-labelledby", "aria-hidden"),
    *("width", "height", "viewbox", "preserveaspectratio", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "d"),
    *("points", "dy"),
}
SECTIONS = {
    "subjects": ["results", "labels", "confusion", "slices", "calibration", "speed"],
    "comparisons": ["verdicts"],
    "choices": ["choices"],
    "samples": ["samples"],
    "mistakes": ["mistakes"],
    "forgetting": ["forgetting"],
    "training": ["training"],
}
ALL_SECTIONS = [
    *("results", "verdicts", "choices", "samples", "mistakes", "labels", "confusion", "slices", "calibration"),
    *("forgetting", "training", "speed", "provenance"),
]


class Parsed(HTMLParser):
    """A page as a list of its elements (tag, attributes, path of tags) and of its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self._open)))
        if tag not in INLINE:
            self.text.append(" ")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self._open)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag not in INLINE:
            self.text.append(" ")

    def handle_data(self, data):
        if "style" not in self._open:
            self.text.append(data)

    def of(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]

    @property
    def sections(self):
        return [attributes["id"] for attributes in self.of("section")]

    @property
    def words(self):
        return re.sub(r"\s+", " ", "".join(self.text))


def every_text(value, change):
    """A report with all texts changed but those that say what kind of thing something is."""
    if isinstance(value, dict):
        fixed = {"format", "task", "mode", "metric", "verdict", "created"}
        return {key: item if key in fixed else every_text(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [every_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


@pytest.mark.parametrize("report", [classification_report(), many_labels_report(), text_report(), {}])
def test_the_page_is_well_formed_and_accessible(report):
    parsed = Parsed(render_page(report))
    assert render_page(report).startswith("<!DOCTYPE html>")
    assert {tag for tag, _, _ in parsed.elements} <= TAGS
    assert {name for _, attributes, _ in parsed.elements for name in attributes} <= ATTRIBUTES
    for attributes in parsed.of("svg"):
        nested = "viewbox" in attributes and "role" not in attributes
        assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true" or nested
    tables = [place for place, (tag, _, _) in enumerate(parsed.elements) if tag == "table"]
    assert all(parsed.elements[place + 1][0] == "caption" for place in tables)
    assert all(attributes.get("scope") in ("row", "col") for attributes in parsed.of("th"))
    ids = [attributes["id"] for _, attributes, _ in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _, _ in parsed.elements if tag in ("h1", "h2")] == ["h1", *["h2"] * len(parsed.sections)]


def test_the_page_forbids_itself_every_request_and_names_no_address():
    html = render_page(classification_report())
    policy = next(one for one in Parsed(html).of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not re.search(r"https?:|url\(|@import|<script|\bsrc=", html)


def test_all_sections_are_there_in_their_order():
    assert Parsed(render_page(classification_report())).sections == ALL_SECTIONS


@pytest.mark.parametrize("empty", [None, [], "missing"])
@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_without_data_is_left_out_and_the_others_stay(key, empty):
    report = classification_report()
    if empty == "missing":
        del report[key]
    else:
        report[key] = empty
    assert Parsed(render_page(report)).sections == [name for name in ALL_SECTIONS if name not in SECTIONS[key]]


@pytest.mark.parametrize(
    ("fact", "section"),
    [
        ("per_class", "labels"),
        ("confusion", "confusion"),
        ("calibration", "calibration"),
        ("slices", "slices"),
        ("latency", "speed"),
    ],
)
def test_a_section_is_left_out_where_no_subject_has_its_figures(fact, section):
    report = classification_report()
    for subject in report["subjects"]:
        subject[fact] = None
    assert section not in Parsed(render_page(report)).sections


def test_an_empty_report_is_a_page_with_a_title():
    parsed = Parsed(render_page({}))
    assert parsed.sections == []
    assert parsed.words.strip().startswith("honed report")


def test_every_figure_of_a_metric_is_on_the_page_with_its_interval():
    report = classification_report()
    words = Parsed(render_page(report)).words
    for subject in report["subjects"]:
        accuracy = subject["metrics"][0]
        assert f"{accuracy['value']:.3f} {accuracy['low']:.3f} to {accuracy['high']:.3f}" in words
    for comparison in report["comparisons"]:
        assert comparison["sentence"] in words


def test_the_head_sets_the_tuned_subjects_as_they_are_used_beside_the_best_of_the_base():
    words = Parsed(render_page(classification_report())).words
    assert "base 12-shot by likelihood Accuracy of the base at its best 0.292" in words
    assert "tuned ▲ better: +0.583 (+0.475 to +0.683) 0.875" in words
    assert "tuned, served ▲ better: +0.575 (+0.467 to +0.675) 0.867" in words


def test_of_a_metric_where_lower_is_better_the_lowest_is_the_best():
    subjects = [
        {"label": name, "name": name, "resource": "models/x", "tuned": tuned, "mode": "likelihood", "metrics": [metric]}
        for name, tuned, value in (("a", False, 3.0), ("b", False, 2.0), ("c", True, 1.5), ("d", True, 1.75))
        for metric in [{"name": "nll", "value": value, "low": value - 0.1, "high": value + 0.1}]
    ]
    roles = {"decides": "nll", "strongest_untuned": "b", "under_test": ["c", "d"]}
    words = Parsed(render_page({"subjects": subjects} | roles)).words
    assert "b NLL of the base at its best 2.000" in words
    assert "c NLL 1.500" in words
    assert "NLL lower is better" in words


def test_a_base_alone_has_results_but_no_comparison_in_the_head():
    report = classification_report()
    report["subjects"], report["comparisons"] = report["subjects"][:1], []
    parsed = Parsed(render_page(report))
    assert parsed.sections[0] == "results"
    assert "at its best" not in parsed.words


def test_eight_subjects_have_their_rows_and_their_verdicts():
    report = classification_report()
    report["subjects"] = [
        report["subjects"][0] | {"label": f"adapter {place}", "name": f"adapter {place}", "tuned": True}
        for place in range(8)
    ]
    words = Parsed(render_page(report)).words
    assert all(words.count(f"adapter {place} ") >= 4 for place in range(8))
    assert "15 more comparisons" in words


def test_a_small_confusion_matrix_is_a_table_of_its_counts():
    report = classification_report()
    report["subjects"] = report["subjects"][:1]
    html = render_page(report)
    [table] = re.findall(r'<table class="matrix">(.*?)</table>', html, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
    cells = [[int(cell or 0) for cell in re.findall(r"<td[^>]*>(\d*)</td>", row)] for row in rows]
    assert cells == [list(row) for row in report["subjects"][0]["confusion"]["counts"]]
    assert "no label" in table


def test_a_column_for_answers_that_are_no_label_is_left_out_where_there_are_none():
    report = classification_report()
    report["subjects"] = report["subjects"][1:2]
    assert "no label</bdi>" not in render_page(report)


def test_a_large_confusion_matrix_is_a_map_with_its_most_confused_pairs():
    report = many_labels_report()
    report["subjects"] = report["subjects"][:1]
    labels = report["subjects"][0]["confusion"]["labels"]
    counts = report["subjects"][0]["confusion"]["counts"]
    assert len(labels) > MOST_CELLS
    html = render_page(report)
    parsed = Parsed(html)
    assert '<table class="matrix">' not in html
    assert f'viewBox="0 0 {len(labels) + 1} {len(labels)}"' in html
    pairs = sorted(
        (count for row, line in enumerate(counts) for column, count in enumerate(line) if row != column and count),
        reverse=True,
    )
    table = html[html.index("Most confused") : html.index("</table>", html.index("Most confused"))]
    assert [int(count) for count in re.findall(r'<td class="n">(\d+)</td>', table)] == pairs[:15]
    assert f"Not listed: {len(pairs) - 15:,} pairs of {sum(pairs[15:]):,} rows" in parsed.words


def test_labels_stand_by_the_f1_of_the_tuned_subject_and_those_without_rows_come_last():
    report = classification_report()
    tuned = next(subject for subject in report["subjects"] if subject["tuned"])
    tuned["per_class"][0] |= {"f1": 0.0, "support": 0}
    html = render_page(report)
    names = re.findall(r'<tr><th scope="row"><bdi>([^/]*)</bdi></th><td class="n">\d+</td><td class="n wide">', html)
    expected = sorted(tuned["per_class"], key=lambda one: (one["support"] == 0, one["f1"], one["label"]))
    assert [name.replace("<wbr>", "") for name in names] == [one["label"] for one in expected]


def test_answers_with_labels_are_grouped_by_who_gave_them_the_expected_one_first():
    report = classification_report()
    answers = {"base": "Time_Off.", "tuned": "printing", "served": "printing", "other": "vpn_trouble"}
    right = {"base": True, "tuned": False, "served": False, "other": False}
    report["samples"] = [{"row": "17", "prompt": "p", "expected": ["time_off"], "answers": answers, "right": right}]
    words = Parsed(render_page(report)).words
    assert "row 17 p ✓ right: time_off base ✗ wrong: printing tuned · served ✗ wrong: vpn_trouble other" in words


def test_an_answer_is_right_if_the_document_says_so_not_if_it_looks_so():
    report = classification_report()
    row = {"row": "1", "prompt": "p", "expected": ["us"], "answers": {"base": "US"}, "right": {"base": False}}
    report["samples"] = [row]
    assert "row 1 p ✓ right: us nobody; this was expected ✗ wrong: US base" in Parsed(render_page(report)).words


def test_an_expected_answer_that_nobody_gave_is_still_shown():
    report = classification_report()
    report["samples"] = [{"row": "test 3", "prompt": "p", "expected": ["time_off"], "answers": {"base": "printing"}}]
    words = Parsed(render_page(report)).words
    assert "test 3 p ✓ right: time_off nobody; this was expected ✗ wrong: printing base" in words


def test_a_flagged_slice_says_so_in_words():
    report = classification_report()
    flagged = [one for subject in report["subjects"] for one in subject["slices"] if one["flagged"]]
    assert flagged
    words = Parsed(render_page(report)).words
    for one in flagged:
        assert f"⚑ gap region: {one['value']} {one['rows']} {one['score']:.3f}" in words
    assert words.count("⚑") == len(flagged)


def test_the_first_mistakes_are_shown_and_the_others_open():
    report = classification_report()
    report["mistakes"] = report["mistakes"][:1] * 25
    assert "17 more mistakes" in Parsed(render_page(report)).words
    report["mistakes"] = report["mistakes"][:8]
    assert "more mistakes" not in Parsed(render_page(report)).words


def test_a_long_text_opens_from_its_beginning():
    report = text_report()
    report["samples"][0]["prompt"] = "word " * 1000 + "end"
    html = render_page(report)
    assert re.search(r"<summary><span dir=\"auto\">(word ){60,64}…</span> <b>all 5,003 characters</b></summary>", html)
    assert "word end</p>" in html


def test_rows_that_were_added_to_the_data_sets_own_are_counted():
    words = Parsed(render_page(classification_report())).words
    for counted in ("rows added by typos 48", "rows replayed of datasets/spring 30"):
        assert counted in words


def test_figures_that_are_no_numbers_are_dashes_and_bend_no_chart():
    report = classification_report()
    report["training"]["steps"][3]["loss"] = math.nan
    report["training"]["summary"]["final_loss"] = math.inf
    report["subjects"][0]["metrics"][0] |= {"value": math.nan, "low": math.nan, "high": math.nan}
    html = render_page(report)
    assert not re.search(r"\b(nan|inf)\b", html, re.IGNORECASE)
    assert "final training loss –" in Parsed(html).words


@pytest.mark.parametrize("steps", [1, 2, 2000])
def test_curves_of_any_length_are_drawn(steps):
    report = many_labels_report()
    report["training"]["steps"] = report["training"]["steps"][:steps]
    html = render_page(report)
    [points] = re.findall(r'class="line training" points="([^"]+)"', html)
    assert len(points.split()) == min(steps, 400)


def test_unprintable_characters_are_written_out():
    report = text_report()
    report["title"] = "a\x00b\u202ec\ud800d\x1b"
    html = render_page(report)
    assert "a\\x00b\\u202ec\\ud800d\\x1b" in html
    html.encode("utf-8")


hostile = st.text(st.sampled_from("<>\"'&;/=x \n`{}%-!#é🙂\u200f\u202e\x00"), max_size=20)


@given(hostile)
@settings(max_examples=25, deadline=None)
def test_no_text_of_a_report_becomes_markup(text):
    report = text_report()
    report["samples"] = report["samples"][:1]
    report["mistakes"] = [report["mistakes"][0] | {"answers": {f"<zq{text}": f"<zq{text}"}, "expected": f"<zq{text}"}]
    labelled = classification_report()
    report["subjects"] += [labelled["subjects"][0], labelled["subjects"][-2]]
    report |= {key: labelled[key] for key in ("forgetting", "choices", "training")}
    marked = every_text(
        report, lambda original: f'<zq{text}" onload="x' if original not in ("bleu", "nll") else original
    )
    html = render_page(marked)
    parsed = Parsed(html)
    assert "<zq" not in html
    assert {tag for tag, _, _ in parsed.elements} <= TAGS
    assert {name for _, attributes, _ in parsed.elements for name in attributes} <= ATTRIBUTES
    assert parsed.words.count("<zq") > 50


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "'--><b>",
        "{{ 7 * 7 }}",
        "</style></title>",
        "🙂 \u200fשלום",
    ],
)
def test_a_text_is_shown_as_it_was_written(text):
    report = every_text(text_report(), lambda _: text)
    assert Parsed(render_page(report)).words.count(text) > 20


def luminance(colour):
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_what_is_behind_them(theme):
    css = Path(page.__file__).with_name("page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[theme]))
    on_page = ("ink", "quiet", "tuned", "better", "worse")
    pairs = [(name, "page", 4.5) for name in on_page] + [
        ("ink", "flag", 4.5),
        ("quiet", "flag", 4.5),
        ("worse", "flag", 4.5),
    ]
    pairs += [("ink", f"{side}-{level}", 4.5) for side in ("right", "wrong") for level in (1, 2, 3)]
    pairs += [("strong-ink", f"{side}-{level}", 4.5) for side in ("right", "wrong") for level in (4, 5)]
    pairs += [(name, "page", 3.0) for name in ("base", "difference")]
    low = {
        (one, other): contrast(colours[one], colours[other])
        for one, other, least in pairs
        if contrast(colours[one], colours[other]) < least
    }
    assert low == {}


def test_a_report_that_was_read_back_from_json_gives_the_same_page():
    report = classification_report()
    assert render_page(json.loads(json.dumps(report))) == render_page(report)
