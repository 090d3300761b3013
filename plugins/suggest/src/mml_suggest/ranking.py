"""Ranking blueprints for a task by the tasks nearest to it, and measuring what such a ranking is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from mml_suggest.distances import Distances

Scores = Mapping[str, Mapping[str, float]]
"""Task → blueprint → score; higher is better."""

_CLOSEST = 1e-9
"""Share of the largest distance below which tasks count as equally near: weights stay finite."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A blueprint that is proposed.

    Attributes:
        blueprint: Its id.
        votes: Share of the neighbours' weight for which it is the best; 0 to 1.
        relative: Mean of its relative scores on the neighbours that know it, by their weights; 0 to 1.
        voters: The neighbours for which it is the best, nearest first.
    """

    blueprint: str
    votes: float
    relative: float
    voters: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What would have been chosen for a task whose scores are known, had they not been.

    Attributes:
        task: The task.
        suggested: The blueprint that its neighbours propose.
        suggested_score: Its score on the task.
        single: The blueprint that is best on average over all other tasks.
        single_score: Its score on the task.
        mean_score: Mean over all blueprints: what a choice at random is worth.
        best_score: The best of all blueprints.
        worst_score: The worst.
    """

    task: str
    suggested: str
    suggested_score: float
    single: str
    single_score: float
    mean_score: float
    best_score: float
    worst_score: float

    def relative(self, score: float) -> float:
        """Return where a score lies between the worst, 0, and the best, 1."""
        span = self.best_score - self.worst_score
        return (score - self.worst_score) / span if span else 1.0


def rank(target: str, scores: Scores, distances: Distances, neighbours: int) -> list[Proposal]:
    """Rank blueprints for a task by what was best on the tasks nearest to it.

    Each of the nearest tasks votes for the blueprint that is best on it, with a weight of one over its
    distance: the distance-weighted rule of Shepard, "A two-dimensional interpolation function for
    irregularly-spaced data", 1968. A distance below 0 counts as 0, and those of 0 share all the weight. Of
    equally many votes the mean relative score decides, then the id; of equally near tasks the one whose name
    comes first is nearer.

    Args:
        target: The task; its own scores are not looked at.
        scores: Scores of the others.
        distances: Distances from the target to all of them.
        neighbours: How many are asked.

    Returns:
        All blueprints that the neighbours know, the best first; none where there are no neighbours.
    """
    weights = _weights(target, [task for task in scores if task != target and scores[task]], distances)
    nearest = dict(sorted(weights.items(), key=lambda each: (-each[1], each[0]))[:neighbours])
    total = sum(nearest.values())
    relative = {task: _relative(scores[task]) for task in nearest}
    best = {task: min(found, key=lambda key: (-found[key], key)) for task, found in relative.items()}
    proposals = []
    for blueprint in sorted({key for found in relative.values() for key in found}):
        voters = tuple(task for task in nearest if best[task] == blueprint)
        knowing = {task: weight for task, weight in nearest.items() if blueprint in relative[task]}
        proposals.append(
            Proposal(
                blueprint=blueprint,
                votes=sum(nearest[task] for task in voters) / total,
                relative=sum(weight * relative[task][blueprint] for task, weight in knowing.items())
                / sum(knowing.values()),
                voters=voters,
            )
        )
    return sorted(proposals, key=lambda each: (-each.votes, -each.relative, each.blueprint))


def leave_each_out(scores: Scores, distances: Distances, neighbours: int) -> list[LeftOut]:
    """Choose for each task by all others, and compare that with what is known of it.

    Of the other tasks only the blueprints count that are known on the task as well. A task is left out where
    it knows less than two, or the others none of them.

    Args:
        scores: Scores of all tasks.
        distances: Distances between all of them.
        neighbours: How many of the nearest are asked.
    """
    rows = []
    for task in sorted(scores):
        own = scores[task]
        others = {
            other: {key: value for key, value in found.items() if key in own}
            for other, found in scores.items()
            if other != task
        }
        proposals = rank(task, others, distances, neighbours)
        if len(own) < 2 or not proposals:
            continue
        suggested, single = proposals[0].blueprint, _single(others.values())
        rows.append(
            LeftOut(
                task=task,
                suggested=suggested,
                suggested_score=own[suggested],
                single=single,
                single_score=own[single],
                mean_score=fmean(own.values()),
                best_score=max(own.values()),
                worst_score=min(own.values()),
            )
        )
    return rows


def _single(scores: Iterable[Mapping[str, float]]) -> str:
    """Return the blueprint with the best mean of relative scores over the tasks that know it."""
    found: dict[str, list[float]] = {}
    for known in scores:
        for blueprint, value in _relative(known).items():
            found.setdefault(blueprint, []).append(value)
    return min(found, key=lambda key: (-fmean(found[key]), key))


def _relative(scores: Mapping[str, float]) -> dict[str, float]:
    """Return where scores of a task lie between its worst, 0, and its best, 1; equal ones are all 1."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {key: (value - low) / (high - low) if high > low else 1.0 for key, value in scores.items()}


def _weights(target: str, tasks: Iterable[str], distances: Distances) -> dict[str, float]:
    found = {task: distances.between(target, task) for task in tasks}
    known = {task: max(value, 0.0) for task, value in found.items() if value is not None}
    least = max(known.values(), default=0.0) * _CLOSEST or 1.0
    # Up to a factor that all share, one over the distance: from 1e-9 to 1, however small distances are.
    return {task: least / max(value, least) for task, value in known.items()}
