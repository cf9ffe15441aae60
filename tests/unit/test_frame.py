"""The frame of the prompt, for templates as models bring them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gemma_lsp.prompt.frame import Frame, file_header, frame_for
from gemma_lsp.prompt.segments import Region
from tests.support.scripted import CHAT_TEMPLATE

NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
THINK = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{# <think> #}"
)


@dataclass
class Model:
    chat_template: str = ""
    bos: str = "<bos>"
    eos: str = "<eos>"
    fim: dict[str, str] = field(default_factory=dict)


def text(frame: Frame) -> str:
    return "".join(segment.text for segment in frame.head)


def closing(frame: Frame, *, thinking: bool) -> str:
    return "".join(segment.text for segment in frame.close(thinking=thinking))


def test_a_base_model_reads_a_document() -> None:
    """Without a template there are no turns and nothing is a special token."""
    frame = frame_for(Model(), "parcels")
    assert not frame.chat
    assert "Repository parcels" in text(frame)
    assert not any(segment.special for segment in frame.head)
    assert frame.close(thinking=False) == ()


def test_everything_up_to_the_request_stands_in_one_turn() -> None:
    """The head opens the user's turn and does not end it; the closing does, and opens the model's."""
    frame = frame_for(Model(CHAT_TEMPLATE), "parcels")
    assert frame.chat
    assert text(frame).startswith("<|turn>system\n")
    assert "<|turn>user\n" in text(frame)
    assert text(frame).endswith("\n\n")
    assert frame.turn_end == "<turn|>\n<|turn>model\n"


def test_the_beginning_of_sequence_is_left_to_the_engine() -> None:
    """A BOS in the template would be there twice."""
    assert "<bos>" not in text(frame_for(Model(CHAT_TEMPLATE), "parcels"))


def test_only_rendered_text_is_special() -> None:
    """A repository's name cannot smuggle in a control token, nor can the words put into the model's mouth."""
    frame = frame_for(Model(CHAT_TEMPLATE), "<|turn>evil")
    assert all("evil" not in segment.text for segment in frame.head if segment.special)
    assert frame.close(thinking=True, prefill="<turn|>")[-1].special is False


def test_a_template_without_a_system_role_has_the_instructions_in_the_users_turn() -> None:
    """Gemma 3 and others refuse a system message."""
    frame = frame_for(Model(NO_SYSTEM), "parcels")
    assert frame.chat
    assert text(frame).startswith("<start_of_turn>user\nYou are")
    assert frame.thinking is None


def test_thinking_is_switched_off_behind_the_opened_turn() -> None:
    """The head is the same with and without thoughts, so that they share the cache."""
    frame = frame_for(Model(CHAT_TEMPLATE), "parcels")
    assert closing(frame, thinking=True) == "<turn|>\n<|turn>model\n"
    assert closing(frame, thinking=False) == "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>"


def test_think_tags_are_closed_where_the_template_has_them() -> None:
    """Other models think between tags; some templates open them themselves."""
    assert closing(frame_for(Model(THINK), "x"), thinking=False).endswith("<think>\n\n</think>\n\n")
    opening = THINK.replace("assistant\n", "assistant\n<think>\n")
    frame = frame_for(Model(opening), "x")
    assert frame.thinking is not None
    assert frame.thinking.opened
    assert closing(frame, thinking=False).endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content.__class__.__mro__ }}",
        "{% for m in messages %}",
        "{{ raise_exception('never') }}",
        "nothing of the messages",
        "{{ 1 / 0 }}",
        "{{ messages[7].content }}",
    ],
)
def test_a_template_that_cannot_be_used_makes_a_base_model(template: str) -> None:
    """Templates come from strangers: they are sandboxed, and a broken one still leaves a usable product."""
    assert not frame_for(Model(template), "parcels").chat


def test_a_template_with_the_date_does_not_change_from_day_to_day() -> None:
    """A date at the top of the prompt would throw the resident repository away every midnight."""
    dated = CHAT_TEMPLATE.replace("{{ bos_token }}", "{{ bos_token }}{{ strftime_now('%Y') }}")
    assert text(frame_for(Model(dated), "x")).startswith("2026<|turn>")


def test_the_head_is_preamble_and_the_rest_is_request() -> None:
    """Costs are told by region."""
    frame = frame_for(Model(CHAT_TEMPLATE), "x")
    assert {segment.region for segment in frame.head} == {Region.PREAMBLE}
    assert {segment.region for segment in frame.close(thinking=False, prefill="a")} == {Region.REQUEST}


def test_a_file_header_may_say_how_the_file_stands_there() -> None:
    """The note is part of the line."""
    assert file_header("a/b.py") == "### file: a/b.py\n"
    assert file_header("a/b.py", "changed") == "### file: a/b.py (changed)\n"
