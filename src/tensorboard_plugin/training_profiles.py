"""The profiles of a run's training, one by each process; a damaged one is named."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from src.errors import UsageError
from src.run.folder import Run, read_training_profile
from src.run.training_profile import TrainingProfile
from src.tensorboard_plugin.log_folder import RANK_FILE

_MAX_RANKS = 256
_MAX_WINDOWS = 10_000  # of a rank
_MAX_BYTES = 64_000_000  # hundreds of times the size of a usual one


@dataclass(frozen=True)
class TrainingProfiles:
    """The readable profiles by rank, and the faults of the others."""

    by_rank: dict[int, TrainingProfile]
    problems: list[str]


def read(run: Run) -> TrainingProfiles:
    """Read the profiles of all ranks."""
    by_rank: dict[int, TrainingProfile] = {}
    problems: list[str] = []
    try:
        names = [entry.name for entry in run.profile.iterdir()]
    except FileNotFoundError:
        return TrainingProfiles(by_rank, problems)
    except (UsageError, OSError) as error:
        return TrainingProfiles(by_rank, [f"profile/ cannot be shown: {error}"])
    ranks = sorted(int(match[1]) for match in map(RANK_FILE.fullmatch, names) if match)
    if len(ranks) > _MAX_RANKS:
        problems.append(f"{len(ranks)} ranks: only the first {_MAX_RANKS} are shown")
    for rank in ranks[:_MAX_RANKS]:
        name = f"rank{rank}.json"
        try:
            path = run.own("profile", name)
            if (size := path.stat().st_size) > _MAX_BYTES:
                problems.append(f"profile/{name} has {size} bytes: not read")
                continue
            profile = read_training_profile(path)
        except (UsageError, OSError) as error:
            problems.append(f"profile/{name} cannot be shown: {error}")
            continue
        if profile.rank != rank:
            problems.append(f"profile/{name} is the profile of rank {profile.rank}: not shown")
            continue
        if (count := len(profile.windows)) > _MAX_WINDOWS:
            problems.append(
                f"profile/{name} has {count} windows: only the first {_MAX_WINDOWS} are shown"
            )
            profile = msgspec.structs.replace(profile, windows=profile.windows[:_MAX_WINDOWS])
        by_rank[rank] = profile
    return TrainingProfiles(by_rank, problems)
