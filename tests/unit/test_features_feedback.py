"""What became of suggestions is seen from the edits that follow, what is learnt is mild, and the file is harmless."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from gemma_lsp.cli.stats import learnt, rows, run_stats
from gemma_lsp.config.schema import CompletionSettings
from gemma_lsp.features.context import Memory
from gemma_lsp.features.feedback import NAMES, Feedback, Offers
from gemma_lsp.features.habits import PROSE_CHANCE, Habits
from gemma_lsp.features.memory import Origin
from gemma_lsp.features.rhythm import Rhythm
from gemma_lsp.features.tally_file import DAYS, TallyFile

BEFORE, AFTER, SHOWN = "x = ", "\ny\n", "sum(a, b)"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def offers(clock: Clock) -> Offers:
    found = Offers(Feedback(), clock)
    found.show(Origin(path="a.py", before=BEFORE, after=AFTER, files={}), [SHOWN])
    clock.now += 1
    return found


def put(offers: Offers, *texts: str) -> dict[str, int]:
    """The file with these texts at the cursor, one after the other; what has been counted then."""
    for text in texts:
        offers.edited("a.py", BEFORE + text + AFTER)
    total = sum(offers.feedback.new.values(), Counter[str]())
    return {name: n for name, n in total.items() if n and not name.endswith("characters")}


def kept(offers: Offers) -> int:
    return sum(counts["kept_characters"] for counts in offers.feedback.new.values())


def test_text_that_comes_in_one_piece_was_accepted(offers: Offers) -> None:
    """It is what was shown."""
    assert put(offers, SHOWN) == {"shown": 1, "accepted": 1}
    assert kept(offers) == len(SHOWN)


def test_the_rest_of_what_was_typed_along_can_be_accepted(offers: Offers) -> None:
    """Only what came in a piece was saved."""
    assert put(offers, "s", "su", SHOWN) == {"shown": 1, "accepted": 1}
    assert kept(offers) == len(SHOWN) - 2


def test_word_by_word_to_the_end_is_accepted(offers: Offers) -> None:
    """Every piece counts."""
    assert put(offers, "sum", "sum(a,", SHOWN) == {"shown": 1, "accepted": 1}
    assert kept(offers) == len(SHOWN)


def test_a_word_of_it_is_taken_in_part(offers: Offers) -> None:
    """And then something else is typed."""
    assert put(offers, "sum", "sumx") == {"shown": 1, "partly": 1}
    assert kept(offers) == 3


def test_letter_by_letter_it_was_typed(offers: Offers) -> None:
    """The suggestion was right, and saved nothing."""
    assert put(offers, *(SHOWN[:n] for n in range(1, len(SHOWN) + 1))) == {"shown": 1, "typed": 1}
    assert kept(offers) == 0


def test_something_else_is_a_rejection(offers: Offers) -> None:
    """Also a deletion before it, or another place in the file."""
    assert put(offers, "s", "sX") == {"shown": 1, "rejected": 1}
    assert put(offers, "sXY") == {"shown": 1, "rejected": 1}


def test_an_edit_elsewhere_in_the_file_is_a_rejection(offers: Offers) -> None:
    """Whoever goes on elsewhere did not want it."""
    offers.edited("a.py", BEFORE + AFTER + "z")
    assert put(offers) == {"shown": 1, "rejected": 1}


def test_what_nobody_could_read_is_not_counted(clock: Clock) -> None:
    """It was gone with the next key."""
    offers = Offers(Feedback(), clock)
    offers.show(Origin(path="a.py", before=BEFORE, after=AFTER, files={}), [SHOWN])
    clock.now += 0.1
    assert put(offers, "m") == {}


def test_what_is_left_of_a_suggestion_is_no_new_one(offers: Offers, clock: Clock) -> None:
    """Editors ask again with every key."""
    put(offers, "su")
    offers.show(Origin(path="a.py", before=BEFORE + "su", after=AFTER, files={}), [SHOWN[2:]])
    assert put(offers, SHOWN) == {"shown": 1, "accepted": 1}


def test_any_of_several_to_choose_from_can_be_accepted(clock: Clock) -> None:
    """Of two that begin alike the one that is there."""
    offers = Offers(Feedback(), clock)
    offers.show(Origin(path="a.py", before=BEFORE, after=AFTER, files={}), [SHOWN, "max(", "max(a, b)"])
    assert put(offers, "max(a, b)") == {"shown": 1, "accepted": 1}
    assert kept(offers) == len("max(a, b)")


def test_closing_the_file_ends_it(offers: Offers) -> None:
    """As nothing more can become of it."""
    offers.gone("a.py")
    offers.gone("a.py")
    assert put(offers) == {"shown": 1, "rejected": 1}


# -- what is learnt ----------------------------------------------------------------------------------------------------


def fed(useful: int, rejected: int) -> Feedback:
    feedback = Feedback()
    for _ in range(useful):
        feedback.count("accepted", 10, 10, "2026-11-20")
    for _ in range(rejected):
        feedback.count("rejected", 10, 0, "2026-11-21")
    return feedback


def test_nothing_is_learnt_from_little() -> None:
    """Ten rejections may be one bad morning."""
    assert fed(0, 30).tuning == Feedback().tuning
    assert (Feedback().tuning.pause, Feedback().tuning.least_chance) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("useful", "pause", "chance"), [(2, 1.5, 0.25), (15, 1.2, 0.10), (30, 1.0, 0.0), (80, 0.8, 0.0)]
)
def test_what_is_not_wanted_comes_later_and_only_when_sure(useful: int, pause: float, chance: float) -> None:
    """And what is wanted a little sooner."""
    tuning = fed(useful, 100 - useful).tuning
    assert (tuning.pause, tuning.least_chance) == (pause, chance)


def test_what_completions_cost_is_told_as_json() -> None:
    """Reasons are names as the protocol's are."""
    habits = Habits()
    habits.tally.answers["typed along"] += 2
    habits.asked(ahead=True)
    with habits.running():
        told = habits.tally.to_json()
    assert (told["answers"], told["asked"], told["askedAhead"], told["running"]) == ({"typedAlong": 2}, 0, 1, 1)
    assert habits.tally.running == 0


def test_learning_can_be_switched_off() -> None:
    """Then the settings count as they are; prose is left alone all the same."""
    habits = Habits(fed(0, 100))
    on, off = CompletionSettings(debounce_ms=100), CompletionSettings(debounce_ms=100, adaptive=False)
    assert (habits.pause_s(on), habits.pause_s(off)) == (pytest.approx(0.15), 0.1)
    assert habits.least_chance(on, in_prose=False) == 0.25
    assert habits.least_chance(off, in_prose=False) == 0.0
    assert habits.least_chance(off, in_prose=True) == PROSE_CHANCE


def test_the_rhythm_of_typing_sets_the_pause(clock: Clock) -> None:
    """Within bounds around the setting, and not before it is known."""
    rhythm = Rhythm(clock)
    for gap in [0.2] * 8:
        assert rhythm.pause_ms(100) == 100
        rhythm.key()
        clock.now += gap
    rhythm.key()
    assert rhythm.pause_ms(100) == pytest.approx(120)
    assert rhythm.pause_ms(0) == 0
    assert rhythm.pause_ms(20) == 60
    assert rhythm.pause_ms(1000) == 500


def test_a_long_pause_is_no_gap_between_keys(clock: Clock) -> None:
    """Whoever thinks does not type slowly."""
    rhythm = Rhythm(clock)
    for n in range(30):
        rhythm.key()
        clock.now += 60 if n % 2 else 0.1
    assert rhythm.pause_ms(100) == pytest.approx(60)


def test_only_keys_make_the_rhythm(clock: Clock) -> None:
    """An accepted suggestion, a paste or a reformat is none."""
    memory = Memory()
    memory.habits.rhythm = rhythm = Rhythm(clock)
    memory.edited("a.py", "")
    for n in range(20):
        clock.now += 0.1
        memory.edited("a.py", "x" * 50 * n)
    assert rhythm.pause_ms(100) == 100


# -- the file ----------------------------------------------------------------------------------------------------------


def test_two_sessions_add_to_one_file(tmp_path: Path) -> None:
    """It is plain text, and says what it is."""
    file = TallyFile(tmp_path / "state" / "completions.json")
    for useful in (1, 2):
        file.add(fed(useful, 1).take_new())
    assert file.read()["2026-11-20"]["accepted"] == 3
    raw = json.loads(file.path.read_text())
    assert "Delete it" in raw["about"]
    assert set(raw["days"]["2026-11-21"]) == set(NAMES)
    assert [path.name for path in file.path.parent.iterdir()] == ["completions.json"]


def test_what_was_taken_to_be_written_is_not_written_twice() -> None:
    """But goes on counting for what is learnt."""
    feedback = fed(80, 20)
    assert feedback.take_new()
    assert feedback.take_new() == {}
    assert feedback.tuning.pause == 0.8


@pytest.mark.parametrize("content", ["", "{", "[]", '{"days": 3}', '{"days": {"x": {"shown": "y", "z": 1}}}', "\x00"])
def test_a_damaged_file_is_an_empty_one(tmp_path: Path, content: str) -> None:
    """And is written anew."""
    path = tmp_path / "completions.json"
    path.write_text(content)
    file = TallyFile(path)
    assert sum(sum(counts.values()) for counts in file.read().values()) == 0
    file.add(fed(1, 0).take_new())
    assert file.read()["2026-11-20"]["shown"] == 1


def test_the_file_stays_small(tmp_path: Path) -> None:
    """Old days are dropped."""
    file = TallyFile(tmp_path / "completions.json")
    file.add({date.fromordinal(738_000 + n).isoformat(): Counter(shown=1) for n in range(DAYS + 50)})
    assert len(file.read()) == DAYS
    assert min(file.read()) == date.fromordinal(738_050).isoformat()


def test_a_file_that_cannot_be_written_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    (tmp_path / "state").write_text("not a folder")
    TallyFile(tmp_path / "state" / "completions.json").add(fed(1, 0).take_new())
    assert "could not be written" in caplog.text


def test_stats_shows_the_periods(tmp_path: Path) -> None:
    """By day, and what the server makes of it."""
    counts = fed(30, 10).take_new()
    today = date(2026, 11, 21)
    assert rows(counts, today)[0] == ("today", "10", "0", "0", "0", "10", "0%", "0 of 100")
    assert rows(counts, today)[1] == ("7 days", "40", "30", "0", "0", "10", "75%", "300 of 400")
    assert rows(counts, today)[-1][0] == "since 2026-11-20"
    assert (
        learnt(fed(2, 98)) == "the pause before a suggestion is 1.5 times that; unasked, only what is at least 25% sure"
    )


def test_stats_prints_a_table_and_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says where it counts before there is anything."""
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *args, **options: str(tmp_path))
    run_stats(as_json=False)
    assert "no suggestions have been counted yet" in capsys.readouterr().out
    TallyFile().add(fed(30, 10).take_new())
    run_stats(as_json=False)
    assert "accepted" in capsys.readouterr().out
    run_stats(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["days"]["2026-11-20"]["accepted"] == 30
    assert told["learnt"] == {"pauseTimes": 0.8, "leastChance": 0.0}
