"""Snapshots on disk: a restart costs the tail; whatever is wrong with a file is a miss."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

import pytest

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Event, Failed, Finished, Generate, NeedTexts, PutTexts, SegmentRef, Warm
from gemma_lsp.engine.snapshots import PER_WORKSPACE, SnapshotStore, read_header
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.plan import Policy, Wanted
from gemma_lsp.prompt.segments import Region, Segment

BODY = Segment(Region.BODY, "def f(a):\n    return a\n" * 20)
BUDGET = 1 << 24


def tail(text: str) -> Segment:
    return Segment(Region.REQUEST, text)


class Session:
    """One life of an engine over the fake."""

    def __init__(self, folder: Path, n_swa: int = 32) -> None:
        self.backend = FakeBackend(n_ctx=2000, n_swa=n_swa, n_slice=64, script={"say:": "hello"})
        self.engine = Engine(lambda p: self.backend, snapshots=lambda i: SnapshotStore(folder, i, BUDGET))
        self.engine.start()

    def ask(self, request: Generate | Warm, *segments: Segment) -> Finished:
        done: list[Event] = []
        ended = threading.Event()

        def reply(event: Event) -> None:
            if isinstance(event, NeedTexts):
                self.engine.submit(PutTexts(texts={s.key: s.text for s in segments}), reply)
            elif isinstance(event, Finished | Failed):
                done.append(event)
                ended.set()

        self.engine.submit(request, reply)
        assert ended.wait(20)
        assert isinstance(done[0], Finished)
        return done[0]

    def warm(self, *segments: Segment) -> Finished:
        return self.ask(Warm(id="w", workspace="w", prompt=refs(segments)), *segments)

    def generate(self, *segments: Segment) -> Finished:
        return self.ask(Generate(id="g", workspace="w", prompt=refs(segments)), *segments)


def refs(segments: tuple[Segment, ...]) -> tuple[SegmentRef, ...]:
    return tuple(SegmentRef(s.key, s.region.value, s.special) for s in segments)


def lived(folder: Path) -> Finished:
    """Warms, answers once, and stops."""
    session = Session(folder)
    session.warm(BODY)
    answer = session.generate(BODY, tail("say:"))
    session.engine.close()
    return answer


def test_a_restart_costs_the_tail_and_answers_the_same(tmp_path: Path) -> None:
    """The second life evaluates the request alone."""
    before = lived(tmp_path)
    again = Session(tmp_path)
    after = again.generate(BODY, tail("say:"))
    assert after.text == before.text == "hello"
    assert (after.cost.restored, after.cost.evaluated, after.cost.exact) == (461, 4, True)
    assert again.backend.evaluated == 4 + 5
    again.engine.close()


def test_after_a_restart_rewinds_are_still_proven(tmp_path: Path) -> None:
    """The window that was saved is guarded, so a second question keeps the body too."""
    lived(tmp_path)
    again = Session(tmp_path)
    again.generate(BODY, tail("a long one, longer than the window of thirty-two. say:"))
    assert again.generate(BODY, tail("say:")).cost.evaluated == 4
    again.engine.close()


def test_a_changed_repository_keeps_what_is_still_true(tmp_path: Path) -> None:
    """A chunk more at the body's end: the snapshot's part is restored, the rest evaluated."""
    lived(tmp_path)
    again = Session(tmp_path)
    more = Segment(Region.BODY, "X = 1\n")
    answer = again.generate(BODY, more, tail("say:"))
    assert (answer.cost.restored, answer.cost.evaluated) == (461, 10)
    again.engine.close()


def test_every_truncation_and_any_flipped_byte_is_a_miss(tmp_path: Path) -> None:
    """A kill at any byte, or a bad disk, costs a prefill and nothing else."""
    store = SnapshotStore(tmp_path, "me", BUDGET)
    ledger = Ledger(0)
    ledger.append("k", "body", list(range(400)))
    path = store.save("w", ledger, b"state" * 10)
    assert path
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        header = read_header(path)
        assert header is None or store.load(header) is None
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        header = read_header(path)
        assert header is None or store.load(header) is None
    path.write_bytes(whole)
    header = read_header(path)
    assert header
    loaded = store.load(header)
    assert loaded
    assert loaded.tokens == array("i", range(400))
    assert bytes(loaded.state) == b"state" * 10


def test_an_engine_over_damaged_files_still_answers(tmp_path: Path) -> None:
    """Garbage with the right name is ignored."""
    lived(tmp_path)
    for path in tmp_path.glob("*.kv"):
        path.write_bytes(path.read_bytes()[:-40])
    again = Session(tmp_path)
    answer = again.generate(BODY, tail("say:"))
    assert (answer.text, answer.cost.restored) == ("hello", 0)
    again.engine.close()


def test_another_identity_is_a_miss(tmp_path: Path) -> None:
    """Another model, build or cache type never gets foreign state."""
    lived(tmp_path)
    wanted = [Wanted("bos", "preamble", [257]), Wanted(BODY.key, "body", list(BODY.text.encode()))]
    trunk, policy = Trunk(FakeBackend(n_swa=32), 0, 1, 2), Policy(logits=False)
    assert SnapshotStore(tmp_path, "fake 32", BUDGET).best("w", wanted, trunk, policy)
    assert SnapshotStore(tmp_path, "other", BUDGET).best("w", wanted, trunk, policy) is None
    assert SnapshotStore(tmp_path, "fake 32", BUDGET).best("elsewhere", wanted, trunk, policy) is None


def test_warming_what_is_on_disk_evaluates_nothing(tmp_path: Path) -> None:
    """The same repository after a restart: read, verified, done."""
    lived(tmp_path)
    again = Session(tmp_path)
    again.warm(BODY)
    assert again.backend.evaluated == 0
    assert again.generate(BODY, tail("say:")).text == "hello"
    again.engine.close()


def test_a_full_disk_keeps_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write fails, the temporary file goes, the engine lives."""
    ledger = Ledger(0)
    ledger.append("k", "body", list(range(400)))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert SnapshotStore(tmp_path, "me", BUDGET).save("w", ledger, b"s") is None
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_snapshot_of_a_workspace_goes_first(tmp_path: Path) -> None:
    """Several branches live side by side, up to a number; and the budget is kept."""
    store = SnapshotStore(tmp_path, "me", BUDGET)
    for i in range(PER_WORKSPACE + 3):
        ledger = Ledger(0)
        ledger.append(f"k{i}", "body", list(range(300)))
        assert store.save("w", ledger, b"s")
    assert len(store.headers()) == PER_WORKSPACE
    small = SnapshotStore(tmp_path, "me", 3000)
    ledger = Ledger(0)
    ledger.append("last", "body", list(range(300)))
    assert small.save("w", ledger, b"s")
    assert sum(p.stat().st_size for p in tmp_path.glob("*.kv")) <= 3000


def test_the_folder_is_its_users_alone(tmp_path: Path) -> None:
    """Snapshots hold source code."""
    folder = tmp_path / "snapshots"
    SnapshotStore(folder, "me", BUDGET)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


WRITER = """
import sys
from array import array
from pathlib import Path
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.kv.ledger import Ledger
store = SnapshotStore(Path(sys.argv[1]), "engine", 1 << 30)
print("ready", flush=True)
n = 0
while True:
    ledger = Ledger(0)
    ledger.append(f"chunk {n}", "body", array("i", range(1000)))
    store.save("w", ledger, bytes([n % 256]) * 3_000_000)
    n += 1
"""


def test_a_process_that_is_killed_while_it_writes_leaves_whole_snapshots_only(tmp_path: Path) -> None:
    """Killed at any moment, over and over: what has a snapshot's name is one, and the rest goes with time."""
    for n in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline().strip() == b"ready"
        time.sleep(0.03 + 0.011 * n)  # the moment of the kill is what is tried out
        process.kill()
        process.wait(10)
        process.stdout.close()
        store = SnapshotStore(tmp_path, "engine", BUDGET)
        headers = store.headers()
        assert len(headers) == len(list(tmp_path.glob("*.kv")))
        for header in headers:
            loaded = store.load(header)
            assert loaded is not None
            assert len(loaded.state) == 3_000_000
    left = list(tmp_path.glob("*.tmp"))
    for path in left:
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    SnapshotStore(tmp_path, "engine", BUDGET)
    assert not list(tmp_path.glob("*.tmp"))
