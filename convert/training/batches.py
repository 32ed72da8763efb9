"""Which samples a training sees: batches decided by the seed and their step alone, drawn from groups by shares."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch.utils.data import DataLoader, IterableDataset

Batch = TypeVar("Batch")
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class Course:
    """Which batches are drawn: steps `start` to `stop`, each of `batch` samples."""

    batch: int
    seed: int
    start: int
    stop: int


class Batches(IterableDataset[Batch], ABC):
    """A course's batches, each decided by the seed and its step alone: a resumed training sees what it would have seen."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self._course.start, self._course.stop):
            yield self.drawn(self._course.batch, np.random.default_rng((self._course.seed, step)))

    @abstractmethod
    def drawn(self, count: int, rng: np.random.Generator) -> Batch:
        """One batch of `count` samples."""


class Mixture(Generic[Group]):
    """Stored samples, drawn as often as the share of their group says.

    `groups` names the group of every sample, in order; `shares` says how often each group is drawn, relative to the others
    that have samples. A sample whose group has no share is never drawn.
    """

    def __init__(self, groups: Iterable[Group], shares: Mapping[Group, float]) -> None:
        numbers: dict[Group, list[int]] = {group: [] for group in shares}
        for number, group in enumerate(groups):
            if group in numbers:
                numbers[group].append(number)
        self._members = {group: np.array(found, np.int64) for group, found in numbers.items() if found}
        self._groups = list(self._members)
        weights = np.array([shares[group] for group in self._groups])
        self._weights = weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> Iterator[tuple[Group, int]]:
        """`count` groups and a member of each. Groups are drawn first; each member when it is its turn."""
        for place in rng.choice(len(self._groups), count, p=self._weights):
            group = self._groups[place]
            yield group, int(rng.choice(self._members[group]))


def loaded(batches: Batches[Batch], workers: int) -> Any:
    """Iterate over `batches`, drawn ahead by `workers` other processes; with 0, here and when they are asked for."""
    if not workers:
        return batches
    return DataLoader(batches, batch_size=None, collate_fn=_as_it_is, num_workers=workers, prefetch_factor=6)


def _as_it_is(batch: Any) -> Any:
    """The loader would turn NumPy's arrays into tensors."""
    return batch
