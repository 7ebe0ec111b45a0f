"""Search inside one training: that it finds what can be known, and that no kill is seen in what it finds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.errors import InfeasibleArchitecture, RunError
from netwright.nn.steps import StepNetwork
from netwright.supernet.descent import DivergedSearch
from netwright.supernet.search import CHECKPOINT, SharedSearch, halves
from netwright.supernet.snapshots import SNAPSHOTS, read_snapshots
from netwright.training.checkpoint import CheckpointRefused, load_checkpoint, save_checkpoint
from tiny_supernet import TinySupernet, parts


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_filter_that_keeps_the_picture_is_found(tmp_path: Path, seed: int) -> None:
    search = SharedSearch(parts(epochs=40, learning_rate=0.01), seed=seed, folder=tmp_path)
    assert search.run()
    assert search.choice()["filter"] == "keep"


@pytest.mark.parametrize("half", [False, True])
def test_a_search_taken_up_every_third_step_equals_the_uninterrupted_one(tmp_path: Path, half: bool) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    SharedSearch(parts(half=half), seed=3, folder=whole).run()
    ended = False
    while not ended:
        search = SharedSearch(parts(half=half), seed=3, folder=cut)
        search.load()
        until = search.step + 3
        ended = search.run(stop=lambda search=search, until=until: search.step >= until)
    tensors, values = load_checkpoint(whole / CHECKPOINT)
    again, values_again = load_checkpoint(cut / CHECKPOINT)
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    values["standing"].pop("seconds"), values_again["standing"].pop("seconds")
    assert values == values_again
    assert _untimed(whole) == _untimed(cut)


def test_what_came_behind_the_last_checkpoint_is_done_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    SharedSearch(parts(), seed=1, folder=whole).run()
    search = SharedSearch(parts(), seed=1, folder=killed)
    search.run(stop=lambda: search.step == 5)
    before = (killed / CHECKPOINT).read_bytes()
    search.run(stop=lambda: search.step == 11)
    (killed / CHECKPOINT).write_bytes(before)  # as a kill behind step 11 leaves it
    with (killed / SNAPSHOTS).open("a") as path:
        path.write('{"step": 11, "seco')  # while it was writing
    taken_up = SharedSearch(parts(), seed=1, folder=killed)
    assert taken_up.load()
    assert taken_up.step == 5
    taken_up.run()
    assert _untimed(whole) == _untimed(killed)


def test_snapshots_go_from_the_start_to_the_end(tmp_path: Path) -> None:
    SharedSearch(parts(epochs=5), seed=0, folder=tmp_path).run()
    found = read_snapshots(tmp_path)
    assert [round(s.progress * 10) for s in found] == list(range(11))
    assert found[0].step == 0
    assert found[0].entropy == pytest.approx(1.0)
    assert found[0].probabilities == ((0.333333,) * 3, (0.5,) * 2)
    assert found[0].loss is None
    assert all(s.loss is not None and math.isfinite(s.loss) for s in found[1:])
    assert found[-1].step == 5 * 4


def test_a_limit_in_seconds_ends_the_search(tmp_path: Path) -> None:
    search = SharedSearch(parts(epochs=100_000, seconds=0.5), seed=0, folder=tmp_path)
    assert search.run()
    assert search.progress == 1.0
    assert 0.5 <= search.seconds < 30


def test_samples_that_make_no_network_rank_last(tmp_path: Path) -> None:
    supernet = TinySupernet(classes=2, size=8)
    supernet.illegal = "keep"
    search = SharedSearch(parts(supernet, epochs=60), seed=0, folder=tmp_path)
    search.run()
    keep, *_ = search.distribution.probabilities()[0]
    assert keep < 0.3
    assert search.choice()["filter"] != "keep"
    assert read_snapshots(tmp_path)[-1].infeasible > 0


def test_where_nothing_makes_a_network_the_end_says_so(tmp_path: Path) -> None:
    class Nothing(TinySupernet):
        def steps(self, choice: object) -> tuple[()]:
            raise InfeasibleArchitecture("never")

    search = SharedSearch(parts(Nothing(2, 8), epochs=1), seed=0, folder=tmp_path)
    search.run()
    np.testing.assert_allclose(search.distribution.probabilities()[0], 1 / 3)
    with pytest.raises(InfeasibleArchitecture, match="makes a network"):
        search.choice()


def test_a_network_without_room_in_memory_is_passed_over(tmp_path: Path) -> None:
    class Large(TinySupernet):
        def __init__(self) -> None:
            super().__init__(2, 8)
            self.operations["noise"] = _OutOfMemory()

    search = SharedSearch(parts(Large(), epochs=40), seed=0, folder=tmp_path)
    assert search.run()
    noise = search.distribution.probabilities()[0][2]
    assert noise == pytest.approx(0.25)  # m_i, the least that a value can have
    assert all(value.isfinite().all() for value in search.supernet.state_dict().values())


def test_gradients_that_stay_infinite_end_the_search_with_advice(tmp_path: Path) -> None:
    search = SharedSearch(parts(epochs=200), seed=0, folder=tmp_path)
    with torch.no_grad():
        search.supernet.operations["mean"].linear.weight.fill_(math.nan)
        search.supernet.operations["dense"][1].weight.fill_(math.nan)
    with pytest.raises(DivergedSearch, match="learning_rate"):
        search.run()


def test_the_network_of_a_choice_gives_what_the_supernet_gives() -> None:
    supernet = TinySupernet(2, 8)
    images = torch.randn(3, 1, 8, 8)
    choice = {"filter": "keep", "head": "mean"}
    network = StepNetwork(TinySupernet(2, 8).operations, supernet.steps(choice))
    network.load_state_dict(supernet.state_dict(), strict=False)
    assert set(network.state_dict()) < set(supernet.state_dict())
    torch.testing.assert_close(network(images), supernet(images, choice), rtol=0, atol=0)


def test_a_checkpoint_copies_no_tensor_that_lies_densely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last)
    given = {"turned": turned, "volume": torch.randn(2, 3, 4, 5, 6), "rows": torch.randn(3, 2)}
    given["volume"] = given["volume"].to(memory_format=torch.channels_last_3d)
    copied = []
    contiguous = torch.Tensor.contiguous

    def watched(tensor: torch.Tensor) -> torch.Tensor:
        found = contiguous(tensor)
        copied.append(found.data_ptr() != tensor.data_ptr())
        return found

    monkeypatch.setattr(torch.Tensor, "contiguous", watched)
    save_checkpoint(tmp_path / CHECKPOINT, given, {"step": 7})
    assert copied == [False] * 3
    tensors, values = load_checkpoint(tmp_path / CHECKPOINT)
    assert values == {"step": 7}
    for name, tensor in given.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=0, atol=0)
        assert tensors[name].stride() == tensor.stride()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"half of it")
    with pytest.raises(RunError, match=CHECKPOINT):
        SharedSearch(parts(), seed=0, folder=tmp_path).load()


def test_a_checkpoint_that_lacks_something_is_refused_by_name(tmp_path: Path) -> None:
    search = SharedSearch(parts(), seed=0, folder=tmp_path)
    search.run(stop=lambda: search.step >= 2)
    path = tmp_path / CHECKPOINT
    tensors, values = load_checkpoint(path)

    def refused(tensors: dict[str, torch.Tensor], values: dict[str, object]) -> str:
        save_checkpoint(path, tensors, values)
        with pytest.raises(CheckpointRefused, match="remove it: the search then begins again") as caught:
            SharedSearch(parts(), seed=0, folder=tmp_path).load()
        return str(caught.value)

    for name in values:
        assert repr(name) in refused(tensors, {n: v for n, v in values.items() if n != name})
    for name in values["standing"]:
        less = {n: v for n, v in values["standing"].items() if n != name}
        assert f"standing.{name}" in refused(tensors, {**values, "standing": less})
    for name, tensor in tensors.items():
        refused({**tensors, name: tensor[None]}, values)
        if not name.startswith("momentum."):
            refused({n: t for n, t in tensors.items() if n != name}, values)
    save_checkpoint(path, tensors, values)
    assert SharedSearch(parts(), seed=0, folder=tmp_path).load()


def test_halves_are_disjoint_and_all() -> None:
    first, second = halves(range(101), seed=0)
    assert len(first) == 51
    assert sorted(first + second) == list(range(101))
    assert halves(range(101), seed=0) == (first, second) != halves(range(101), seed=1)


class _OutOfMemory(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def _untimed(folder: Path) -> list[dict[str, object]]:
    return [{**vars(s), "seconds": None} for s in read_snapshots(folder)]
