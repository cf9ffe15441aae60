"""Which files stand in full where not all of them can: what one works on first, and never names alone."""

from __future__ import annotations

import pytest

from gemma_lsp.prompt.layout import Form, Layout, LayoutOptions, plan_layout
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.text import Text
from gemma_lsp.workspace import WorkspaceSnapshot

BODY = "".join(f"    total = total + price * {n} if price else total\n" for n in range(12))


def _module(number: int, functions: int) -> str:
    uses = f"from pkg.m{number - 1} import f{number - 1}_0\n\n\n" if number else ""
    named = (
        f'def f{number}_{n}(price):\n    """Adds up."""\n    total = 0\n{BODY}    return total\n'
        for n in range(functions)
    )
    return uses + "\n\n".join(named)


@pytest.fixture(scope="module")
def index() -> Index:
    """Sixty modules of some 250 tokens and one of 9,000."""
    files = {f"pkg/m{n}.py": Text(_module(n, 1)) for n in range(60)} | {"pkg/large.py": Text(_module(0, 40))}
    return build(WorkspaceSnapshot(root=None, name="w", files=files))


def laid_out(index: Index, budget: int, **options: tuple[str, ...]) -> Layout:
    layout = plan_layout(index, LayoutOptions(budget_tokens=budget, **options))
    assert layout.n_tokens <= budget
    return layout


def forms(layout: Layout) -> dict[Form, int]:
    return {form: sum(entry.form is form for entry in layout.entries) for form in Form}


def test_what_one_works_on_stands_in_full(index: Index) -> None:
    """Open files and those edited lately, whatever their relevance, before anything else."""
    layout = laid_out(index, 2_000, open_paths=("pkg/m7.py",), recent_paths=("pkg/m41.py", "pkg/m23.py"))
    assert {layout.by_path[f"pkg/m{n}.py"].form for n in (7, 41, 23)} == {Form.FULL}
    assert layout.by_path["pkg/m7.py"].reason == "open in the editor"
    assert layout.by_path["pkg/m41.py"].reason == "edited recently"


@pytest.mark.parametrize("budget", [1_000, 2_000, 4_000])
def test_no_form_takes_all_the_room(index: Index, budget: int) -> None:
    """Names of everything would fill a small budget, outlines a larger one; code in full is worth more than either."""
    layout = laid_out(index, budget)
    found = forms(layout)
    assert all(found[form] for form in (Form.FULL, Form.SKELETON, Form.MAP)), found
    in_full = sum(entry.n_tokens for entry in layout.entries if entry.form is Form.FULL)
    assert budget / 4 < in_full < budget


def test_a_large_file_leaves_room_for_others(index: Index) -> None:
    """One that takes more than its share stands as an outline, or by name, and says so."""
    layout = laid_out(index, 6_000, open_paths=("pkg/large.py",))
    large = layout.by_path["pkg/large.py"]
    assert large.form in (Form.SKELETON, Form.MAP)
    assert forms(layout)[Form.FULL] > 4
    assert laid_out(index, 20_000, open_paths=("pkg/large.py",)).by_path["pkg/large.py"].form is Form.FULL


def test_the_more_room_the_more_is_shown(index: Index) -> None:
    """Down to nothing, and up to everything in full."""
    shown = [sum(layout.n_tokens for layout in [laid_out(index, budget)]) for budget in (0, 500, 2_000, 8_000, 10**6)]
    assert shown == sorted(shown)
    assert forms(laid_out(index, 0))[Form.ABSENT] == len(index.files)
    assert forms(laid_out(index, 10**6))[Form.FULL] == len(index.files)
    absent = next(e for e in laid_out(index, 500).entries if e.form is Form.ABSENT)
    assert absent.reason == "no room in the budget"
