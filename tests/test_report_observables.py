"""The page's part about observables, from a run's folder alone."""

import re
from html import unescape

import pandas as pd
import pytest
from test_report import NASTY, seen, write_json, write_run

from slime.report import write_page

SAID = "test split, observables of free rollouts: dish 1: 14 leads from 1 start"
WHY = "no waves: 10% of the pixels or fewer repeat themselves, as noise does"


def rows(channel="camp", split="test", seed=0, scale=1.0):
    """A made table: period and mounds of the truth, a net and persistence."""
    common = {"seed": seed, "movie": "all", "split": split, "channel": channel}
    found = [
        ("truth", 0, "period", 300.0, 290.0, 310.0, "s", "how"),
        ("cnn", 0, "period", 330.0 * scale, 320.0, 340.0, "s", "how"),
        ("persistence", 0, "period", "", "", "", "s", WHY),
        ("truth", 0, "wave_speed", 5.0, "", "", "um/s", "how"),
        ("cnn", 0, "wave_speed", 6.0, "", "", "um/s", "how"),
        ("persistence", 0, "wave_speed", "", "", "", "um/s", WHY),
    ]
    for lead in (1, 2, 8, 14):
        found += [
            ("truth", lead, "n_mounds", 4.0, "", "", "1", ""),
            ("cnn", lead, "n_mounds", 3.0, "", "", "1", ""),
            ("cnn", lead, "mound_error", 11.0 * lead, "", "", "um", ""),
            ("persistence", lead, "mound_error", 13.0 * lead, "", "", "um", ""),
        ]
    columns = ("model", "lead", "score", "value", "low", "high", "unit", "note")
    return pd.DataFrame([{**dict(zip(columns, one, strict=True)), **common} for one in found])


@pytest.fixture
def run(tmp_path):
    path = write_run(tmp_path / "demo")
    rows().to_csv(path / "observables.csv", index=False)
    return path


def lines(run):
    """The words of the page's part, cells apart."""
    html = write_page(run).read_text(encoding="utf-8")
    part = html[html.index("<h2>What a biologist measures") :].split("</section>")[0]
    return " ".join(unescape(re.sub("<[^>]+>", " ", part)).split())


def cells(run):
    """By observable and model, what the page's tables show."""
    html = write_page(run).read_text(encoding="utf-8")
    part = html[html.index("<h2>What a biologist measures") :].split("</section>")[0]
    found = {}
    for table in re.findall("<table.*?</table>", part, re.DOTALL):
        rows = [
            [
                " ".join(unescape(re.sub("<[^>]+>", " ", cell)).split())
                for cell in re.findall("<t[hd].*?</t[hd]>", row, re.DOTALL)
            ]
            for row in re.findall("<tr>.*?</tr>", table, re.DOTALL)
        ]
        for model, *values in rows[1:]:
            found |= {(name, model): v for name, v in zip(rows[0][1:], values, strict=True)}
    return found


def test_truth_net_and_baselines_stand_side_by_side_with_units(run):
    shown = cells(run)
    assert list(dict.fromkeys(model for _, model in shown)) == ["truth", "cnn", "persistence"]
    assert shown["wave period (s)", "truth"] == "300 290 to 310"
    assert shown["wave period (s)", "cnn"] == "330 320 to 340"
    assert shown["wave period (s)", "persistence"] == "–"
    assert shown["wave speed (um/s)", "cnn"] == "6"
    # of numbers the last lead alone, of errors the first, the eighth and the last
    assert shown["mounds, lead 14 (14 min)", "truth"] == "4"
    assert ("mounds, lead 1 (60 s)", "truth") not in shown
    for lead, ours, still in ((1, "11", "13"), (8, "88", "104"), (14, "154", "182")):
        name = f"error of mounds, lead {lead} ({'60 s' if lead == 1 else f'{lead} min'}) (um)"
        assert [shown[name, m] for m in ("truth", "cnn", "persistence")] == ["–", ours, still]


def test_what_could_not_be_measured_is_said_with_its_reason(run):
    assert f"persistence: no wave period, wave speed: {WHY}" in lines(run)


def test_the_length_of_the_rollouts_is_said(run):
    assert "dish 1: 14 leads" not in lines(run)
    write_json(run / "run.json", {"notes": [SAID], "movies": [], "net": {"kind": "cnn"}})
    assert "(dish 1: 14 leads from 1 start)" in lines(run)


def test_every_channel_has_a_table_and_another_split_has_none(run):
    table = pd.concat([rows("cells"), rows("camp"), rows("camp", "val", scale=9.0)])
    table.to_csv(run / "observables.csv", index=False)
    text = lines(run)
    assert text.index("Channel cells") < text.index("Channel camp")
    assert "2970" not in text
    rows("camp", "val").to_csv(run / "observables.csv", index=False)
    assert "Not measured on this split" in lines(run)


def test_seeds_are_averaged(run):
    pd.concat([rows(), rows(seed=1, scale=1.1)]).to_csv(run / "observables.csv", index=False)
    assert cells(run)["wave period (s)", "cnn"] == "346 320 to 340"  # (330 + 363) / 2


def test_a_run_that_measured_nothing_is_complete(tmp_path):
    run = write_run(tmp_path / "demo")
    assert "Not measured on this split" in lines(run)
    assert "unfinished" not in seen(run).text


def test_words_from_outside_are_escaped(run):
    rows(NASTY).assign(note=NASTY, unit=NASTY).to_csv(run / "observables.csv", index=False)
    page = seen(run)
    assert not [t for t, _ in page.tags if t in ("script", "b")]
    assert f"Channel {NASTY}" in page.text
    assert f"wave period ({NASTY})" in page.text


def test_a_broken_table_is_told(run):
    (run / "observables.csv").write_text("a,b\n1,2\n")
    assert "observables.csv cannot be read" in seen(run).text
