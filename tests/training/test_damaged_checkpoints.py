"""A checkpoint that lacks something, or has something else in its place, is refused by name."""

import copy

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from netwright.training.attempt import attempt_of
from netwright.training.checkpoint import CheckpointRefused, Checkpoints, load_checkpoint, save_checkpoint
from netwright.training.early_stopping import EarlyTermination
from resumable import copy_of, protocol_of, trained

PROTOCOL = protocol_of(
    "pictures",
    epochs=2,
    mixed_precision=False,
    patience=5,
    early=EarlyTermination(loss=0.9, loss_epochs=30, least_steps=1),
)
STEP = 3
"""The first of the second epoch: the state has a validation and a record."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """A whole checkpoint, and what comes of the training that it belongs to."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint.safetensors"
    _, whole = trained("pictures", PROTOCOL, data, path, copied=True)
    return copy_of(path, STEP), whole


def fields_of(values, before=()):
    """The path to every field, inner ones too."""
    items = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in items:
        yield (*before, key)
        yield from fields_of(value, (*before, key))


def changed(values, field, *new):
    """A copy with a field dropped, or with another value."""
    values = copy.deepcopy(values)
    table = values
    for key in field[:-1]:
        table = table[key]
    if new:
        table[field[-1]] = new[0]
    else:
        del table[field[-1]]
    return values


def refusal(data, path):
    """Why the training cannot go on from a file; None where it does. Also the result, if there is one."""
    try:
        return None, trained("pictures", PROTOCOL, data, path.with_name("own"), resume_from=path)[1]
    except CheckpointRefused as error:
        reason = str(error)
    assert str(path) in reason
    assert "begin without one" in reason or "then begins again" in reason
    return reason, None


def raw(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.parametrize("text", [False, True])
def test_no_field_can_be_missing_or_of_another_kind_without_notice(text, made, data, tmp_path):
    whole, result = made
    tensors, values = load_checkpoint(whole)
    path = tmp_path / "damaged.safetensors"
    refused = 0
    for field in fields_of(values):
        save_checkpoint(path, tensors, changed(values, field, *(["text"] if text else [])))
        reason, again = refusal(data, path)
        refused += reason is not None
        if reason is None:
            assert again == result, field
            assert field[0] in ("identity", "notes"), field
        elif field not in (("version",), ("standing", "records")) and field[0] != "identity":
            assert str(field[-1]) in reason or "standing.records" in reason, (field, reason)
    assert refused > 20


def test_no_tensor_can_be_missing_without_notice(made, data, tmp_path):
    whole, _ = made
    tensors, metadata = raw(whole)
    path = tmp_path / "damaged.safetensors"
    assert {name.partition(".")[0] for name in tensors} >= {"network", "optimizer", "generators", "scores"}
    for name in tensors:
        save_file({n: t for n, t in tensors.items() if n != name}, path, metadata=metadata)
        reason, _ = refusal(data, path)
        assert f"it lacks the tensor {name!r}" in (reason or ""), name


def test_no_tensor_of_another_shape_is_taken(made, data, tmp_path):
    whole, _ = made
    tensors, values = load_checkpoint(whole)
    path = tmp_path / "damaged.safetensors"
    for name, tensor in tensors.items():
        for other in (tensor[None], torch.cat([tensor.reshape(-1)] * 2), tensor.reshape(-1)[:0]):
            if name in ("losses", "batch_seconds", "generators.python.normal", "scores.0") and (
                other.ndim == tensor.ndim and other.dtype == tensor.dtype
            ):
                continue  # of these, no length is wrong by itself
            save_checkpoint(path, {**tensors, name: other}, values)
            reason, _ = refusal(data, path)
            assert reason is not None, (name, other.shape)


def test_a_file_written_without_a_tensor_is_refused_where_the_others_tell_of_it(made, data, tmp_path):
    whole, result = made
    tensors, values = load_checkpoint(whole)
    path = tmp_path / "damaged.safetensors"
    for name in tensors:
        save_checkpoint(path, {n: t for n, t in tensors.items() if n != name}, values)
        reason, again = refusal(data, path)
        if name.startswith("scores."):
            continue  # how many there are depends on validations that the protocol has yet to come
        assert reason is not None or again == result, name


@pytest.mark.parametrize(
    ("name", "metadata"),
    [("values", "[]"), *((n, m) for n in ("values", "channels_last", "names") for m in ("3", "null", "{"))],
)
def test_metadata_of_another_kind_is_refused(name, metadata, made, data, tmp_path):
    tensors, kept = raw(made[0])
    path = tmp_path / "damaged.safetensors"
    save_file(tensors, path, metadata={**kept, name: metadata})
    assert refusal(data, path)[0] is not None


def test_an_attempt_that_lacks_something_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    whole = {
        "version": 1,
        "budget": {"seconds": 2.5},
        "notes": {"attempt": {"seed": 5, "stalled": "", "seconds": 1.0, "seconds_before": 0.0}},
    }
    save_checkpoint(path, {}, whole)
    assert attempt_of(Checkpoints(path, resume_from=path), 3).seconds_before == 3.5
    for field in fields_of(whole):
        if field == ("notes", "attempt"):
            continue  # one that `train` wrote has none
        save_checkpoint(path, {}, changed(whole, field))
        with pytest.raises(CheckpointRefused, match=r"begin without one"):
            attempt_of(Checkpoints(path, resume_from=path), 3)
