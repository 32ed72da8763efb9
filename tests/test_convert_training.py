"""The training loop: what it does at a step, what it writes, and that a training goes on as if it had never stopped."""

# ruff: noqa: E402  Without PyTorch there is nothing to import.

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from convert.training.batches import Batches, Course, Mixture
from convert.training.loop import Recipe, TrainingChoice, begin, fit, fresh_progress
from convert.training.progress import load_trained
from edged.errors import UsageError

RECIPE = Recipe(batch=8, peak_rate=0.05, warm_up=2, weight_decay=0.02, save_every=2, score_every=4, workers=0)


class Lines(Batches):
    """Points of a line, and what the line says there."""

    def drawn(self, count, rng):
        x = rng.normal(0, 1, (count, 3)).astype(np.float32)
        return torch.from_numpy(x), x.sum(axis=1, keepdims=True)


class Fitting:
    """A line to be found; from the third step on a second part of the loss counts."""

    def batches(self, course):
        return Lines(course)

    def losses(self, network, batch, step):
        assert network.training
        x, truth = batch
        parts = {"square": (network(x) - torch.from_numpy(truth)).square().mean()}
        return parts if step < 2 else parts | {"late": torch.ones(())}

    def figures(self, network):
        assert not network.training
        return {"bias": float(network.bias.detach())}


def trained(out, recipe=RECIPE, steps=6, resume=False, network=None):
    """The folder of a training on one thread."""
    choice = TrainingChoice(out=out, steps=steps, seed=5, resume=resume, threads=0)
    begin(choice)
    fit(network or nn.Linear(3, 1), Fitting(), recipe, choice)
    return out


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_log_tells_each_round_and_figures_when_they_are_due(tmp_path):
    rows = log_of(trained(tmp_path, steps=5))
    assert [row["step"] for row in rows] == [2, 4, 5]
    assert ["bias" in row for row in rows] == [False, True, True]
    assert "late" not in rows[0]
    assert [row["late"] for row in rows[1:]] == [1.0, 1.0]
    assert rows[-1]["square"] < rows[0]["square"]


def test_a_part_that_came_late_counts_as_nothing_before(tmp_path):
    row, *_ = log_of(trained(tmp_path, dataclasses.replace(RECIPE, save_every=4), steps=4))
    assert row["late"] == 0.5


def test_samples_drawn_ahead_are_those_drawn_here(tmp_path):
    here = trained(tmp_path / "here")
    ahead = trained(tmp_path / "ahead", dataclasses.replace(RECIPE, workers=1))
    assert [row["square"] for row in log_of(here)] == [row["square"] for row in log_of(ahead)]


def test_a_stopped_training_goes_on_as_if_it_had_never_stopped(tmp_path, monkeypatch):
    straight = trained(tmp_path / "straight")
    with monkeypatch.context() as cut:
        cut.setattr(Fitting, "figures", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trained(tmp_path / "cut")
    resumed = trained(tmp_path / "cut", resume=True)
    one, other = nn.Linear(3, 1), nn.Linear(3, 1)
    assert load_trained(one, straight) == load_trained(other, resumed) == 6
    assert torch.equal(one.weight, other.weight)
    assert [row["square"] for row in log_of(resumed)][1:] == [row["square"] for row in log_of(straight)][2:]


def test_a_training_starts_from_the_weights_it_is_given(tmp_path):
    given = nn.Linear(3, 1)
    nn.init.ones_(given.weight)
    nn.init.zeros_(given.bias)
    rows = log_of(trained(tmp_path, dataclasses.replace(RECIPE, peak_rate=1e-6), steps=2, network=given))
    assert rows[0]["square"] == pytest.approx(0, abs=1e-4)


def test_another_networks_checkpoint_is_refused(tmp_path):
    run = trained(tmp_path)
    with pytest.raises(UsageError, match="train without --resume"):
        trained(run, resume=True, network=nn.Linear(3, 1, bias=False))
    with pytest.raises(UsageError, match="train without --resume"):
        trained(run, dataclasses.replace(RECIPE, decay_all=True), resume=True)
    with pytest.raises(UsageError, match="not a checkpoint of this network"):
        load_trained(nn.Linear(4, 1), run)
    with pytest.raises(UsageError, match="name the training's --out folder"):
        load_trained(nn.Linear(3, 1), tmp_path / "elsewhere")


def test_the_rate_rises_and_falls():
    rates = [RECIPE.learning_rate(step, 10) for step in range(11)]
    assert rates[:2] == [0.025, 0.05]
    assert rates[2] == pytest.approx(0.05)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[10] == pytest.approx(0.0005)


def test_the_first_step_is_as_long_as_the_rate_and_the_average_follows(tmp_path):
    network, average = nn.Linear(3, 1).eval(), nn.Linear(3, 1)
    for value in network.parameters():
        nn.init.zeros_(value)
    load_trained(average, trained(tmp_path, steps=1, network=network))
    assert network.weight.detach().abs().flatten().tolist() == pytest.approx([0.025] * 3, rel=1e-4)
    assert average.weight.detach().abs().flatten().tolist() == pytest.approx([0.025 * 9 / 11] * 3, rel=1e-4)


def test_only_matrices_decay_unless_all_shall_and_frozen_weights_are_left_alone():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    network[0].requires_grad_(False)
    groups = fresh_progress(network, RECIPE).optimiser.param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.02), (1, 0.0)]
    (group,) = fresh_progress(network, dataclasses.replace(RECIPE, decay_all=True)).optimiser.param_groups
    assert (len(group["params"]), group["weight_decay"]) == (2, 0.02)


def test_long_gradients_are_cut(tmp_path):
    network = nn.Linear(3, 1)
    trained(tmp_path, dataclasses.replace(RECIPE, longest_gradient=0.1), steps=1, network=network)
    assert sum(float(value.grad.square().sum()) for value in network.parameters()) == pytest.approx(0.01, rel=0.01)


def test_batches_are_decided_by_seed_and_step():
    straight = list(Lines(Course(4, seed=1, start=0, stop=3)))
    (resumed,) = Lines(Course(4, seed=1, start=2, stop=3))
    (other,) = Lines(Course(4, seed=2, start=2, stop=3))
    assert torch.equal(straight[2][0], resumed[0])
    assert not torch.equal(straight[1][0], resumed[0])
    assert not torch.equal(other[0], resumed[0])


def test_a_mixture_keeps_to_its_shares_and_leaves_out_what_is_not_there():
    groups = ["often", "unasked", "rarely", "often"]
    mixture = Mixture(groups, {"often": 0.6, "rarely": 0.2, "never": 0.2})
    drawn = list(mixture.draw(4000, np.random.default_rng(0)))
    assert {number for _, number in drawn} == {0, 2, 3}
    assert all(groups[number] == group for group, number in drawn)
    assert sum(group == "often" for group, _ in drawn) / 4000 == pytest.approx(0.75, abs=0.03)
