"""Frozen messages between a server and the engine; the same objects in process and over the socket.

One `Request` is answered by any number of `Delta` or `Progress` and exactly one of `Finished`, `Counted`,
`StatusReport` or `Failed`, all with its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Priority(IntEnum):
    """Lower runs first; between slices the lowest runs."""

    COMPLETION = 0
    ACTION = 1
    HOVER = 2
    DIAGNOSTICS = 3
    WARM = 4
    AHEAD = 5  # what may be asked for next; only when there is nothing else to do


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A segment by content address: its text travels once, with `PutTexts`. `shown`: bytes of it; None is all."""

    key: str
    region: str
    special: bool
    shown: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy. `grammar` is GBNF (llama.cpp, grammars/README.md).

    `rank`: the answer starts with its so many best token (0: the best), and is empty where that one is not `min_p`
    times as probable as the best.
    """

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int = 0
    grammar: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The file that an answer is part of: its text before the answer and behind it; what was learned of the others
    (the name of a `Learn`), and those of them that read otherwise now, by key.
    """

    memory: str
    before: tuple[SegmentRef, ...]
    behind: tuple[SegmentRef, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Continue `prompt`; latest wins: a new request with the same non-empty `supersedes` key cancels the older one.

    `early` stands in for `prompt` when more than `early_over` tokens of `prompt` would have to be evaluated first.
    `heal` backs up over the prompt's last token and constrains the answer to start with its text; the answer's text
    then begins after the prompt's own end.
    `guess` lets tokens be tried several at a time where that pays; the answer is the same but for ties.
    `around`: what follows like text there and in what was learned (`Learn`) is mixed into what the model says.
    `alone`: the prompt shares nothing with the trunk and leaves it as it is; it is given the side sequence.
    """

    id: str
    workspace: str  # whose trunk
    prompt: tuple[SegmentRef, ...]
    priority: int = Priority.ACTION
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    heal: bool = False
    deadline_ms: int = 0  # from being received; 0 = none; what there is by then is the answer
    supersedes: str = ""
    early: tuple[SegmentRef, ...] = ()
    early_over: int = 0
    guess: bool = True
    around: Around | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """Make `prompt` resident in the workspace's trunk, at the lowest priority, with `Progress` on the way.

    `moves`: cells behind a change may be moved where that is much cheaper; then the answer's cost says "not exact".
    `dry`: nothing is done, the reason is "planned", and the cost says what it would take.
    """

    id: str
    workspace: str
    prompt: tuple[SegmentRef, ...]
    priority: int = Priority.WARM
    moves: bool = False
    dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many tokens each segment has."""

    id: str
    segments: tuple[SegmentRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learn:
    """Remember under a name of the client's what these files say, each whole. Answered by `Counted`.

    The same name says the same texts; those that were not asked about for longest are forgotten.
    """

    id: str
    memory: str
    texts: tuple[SegmentRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutTexts:
    """Texts for keys that the engine said it lacks. Not answered."""

    texts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Stop the request `id`, which is answered by `Finished(reason="cancelled")` with what there is. Has no answer."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is loaded, resident and queued."""

    id: str


Request = Generate | Warm | Count | Learn | PutTexts | Cancel | Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an answer cost. Tokens unless the name says ms."""

    prompt: int = 0
    reused: int = 0
    evaluated: int = 0
    evaluated_by_region: dict[str, int] = field(default_factory=dict)
    restored: int = 0  # part of reused: tokens that came from a snapshot on disk
    hidden: int = 0  # tokens masked out of the trunk for this answer
    generated: int = 0
    guessed: int = 0  # tokens of the answer that were tried before they were certain
    guessed_right: int = 0
    exact: bool = True  # every visible cell was computed with exactly the tokens before it
    early: bool = False  # answered from `early`, because the trunk was not ready
    queued_ms: float = 0.0
    prompt_ms: float = 0.0
    first_token_ms: float = 0.0  # from being received to the first token
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """More text of an answer; whole code points only."""

    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the evaluation of a prompt is, in tokens; `tokens_per_s` over the last few slices."""

    id: str
    done: int
    total: int
    tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a `Generate` or `Warm`. Reasons: stop, eos, length, deadline, cancelled, superseded, done, planned."""

    id: str
    text: str
    reason: str
    cost: Cost
    first_chance: float = 1.0  # how probable the first token was, where the most probable one was taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Token counts in the order asked."""

    id: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedTexts:
    """The request `id` waits until these keys have been put."""

    id: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The request failed: `error` is the name of a class in `gemma_lsp.base.errors`."""

    id: str
    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The loaded model, as the prompt layer and the user need to know it. Sizes in tokens, memory in bytes."""

    path: str
    name: str
    architecture: str
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_swa: int
    n_tail: int  # tokens kept free for errata, hole, request and answer; the body's budget is n_ctx - n_tail
    chat_template: str = ""
    bos: str = ""
    eos: str = ""
    fim: dict[str, str] = field(default_factory=dict)  # prefix, suffix, middle, repo, separator: the tokens' text
    devices: tuple[str, ...] = ()
    gpu_layers: int = 0
    threads: int = 0
    memory: dict[str, int] = field(default_factory=dict)  # weights, kv, compute
    build: str = ""
    can: dict[str, bool] = field(default_factory=dict)  # capabilities by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The model is being loaded; `fraction` in [0, 1]. Sent to every client until `Ready` or `LoadFailed`."""

    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded."""

    model: ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The model could not be loaded; every request is answered by `Failed` with the same error."""

    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """The engine's state: tokens resident by workspace, requests waiting, what runs."""

    id: str
    model: ModelInfo | None
    resident: dict[str, int]
    queued: int
    running: str


Event = Delta | Progress | Finished | Counted | NeedTexts | Failed | Loading | Ready | LoadFailed | StatusReport
