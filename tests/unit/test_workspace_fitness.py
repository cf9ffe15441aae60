"""Whether an open document may enter the prompt: looking at an edit says the same as looking at everything."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gemma_lsp.text import Text
from gemma_lsp.workspace.fitness import Fitness
from gemma_lsp.workspace.kinds import unfit_content
from gemma_lsp.workspace.rules import ScanOptions

OPTIONS = ScanOptions()
AWS = "AKIA" + "Z7" * 8
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "Ab1/" * 16 + "\n"
PARTS = (AWS, AWS[:10], AWS[10:], PEM, PEM[:20], PEM[20:], "hf_" + "q" * 34, "xoxb-1234567890-" + "a" * 20, "x = 1\n")
FILLER = st.sampled_from((*PARTS, "'", "\n", " ", "a", "example", "x = 'y'\n" * 80, "# generated: do not edit\n"))
EDITS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3), FILLER), max_size=12)


@given(st.lists(FILLER, max_size=6), EDITS)
@example(["x = 1\n" * 100, AWS[:10]], [(1.0, 0.0, AWS[10:])])
def test_an_edit_is_judged_as_the_whole_text_would_be(start: list[str], edits: list[tuple[float, float, str]]) -> None:
    """Typing a secret together, taking one apart, and everything between."""
    fitness, content = Fitness(OPTIONS), "".join(start)
    assert fitness.unfit("a.py", Text(content)) == unfit_content(content)
    for where, length, new in edits:
        at = int(where * len(content))
        content = content[:at] + new + content[at + int(length * len(content)) :]
        assert fitness.unfit("a.py", Text(content)) == unfit_content(content)


def test_what_only_the_editor_has_is_judged_by_its_content() -> None:
    """Size, secrets, generated code."""
    fitness = Fitness(ScanOptions(max_file_bytes=256 * 1024))
    assert fitness.unfit("a.py", Text("x = 1\n")) is None
    assert fitness.unfit("a.py", Text("x = 1\n" * 100_000)) == "larger than 256 KB"
    assert fitness.unfit("a.py", Text(f"key = '{AWS}'\n")) == "holds an AWS access key"


def test_a_secret_stays_one_while_something_else_is_edited() -> None:
    """Nothing of an unfit text is taken for granted."""
    fitness, secret = Fitness(OPTIONS), f"key = '{AWS}'\n" + "x = 1\n" * 200
    assert fitness.unfit("a.py", Text(secret)) == "holds an AWS access key"
    assert fitness.unfit("a.py", Text(secret + "y = 2\n")) == "holds an AWS access key"


def test_many_documents_may_be_open() -> None:
    """What is remembered is bounded, what is said is not."""
    fitness = Fitness(OPTIONS)
    for n in range(200):
        assert fitness.unfit(f"{n}.py", Text("x = 1\n")) is None
    assert fitness.unfit("0.py", Text(f"key = '{AWS}'\n")) == "holds an AWS access key"
