"""The option that a user has probably meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from src.cli.presets import nearest

# Names of other tools and everyday ones, by the last part of a name.
_USUAL_NAMES = {
    "trainer.max_epochs": ("epochs", "epoch", "num_epochs", "n_epochs"),
    "trainer.max_steps": ("steps", "iterations", "iters"),
    "trainer.accelerator": ("device", "accelerator"),
    "trainer.devices": ("gpus", "gpu", "num_gpus", "devices"),
    "trainer.precision": ("amp", "fp16", "bf16", "half", "mixed_precision"),
    "trainer.default_root_dir": ("name", "output", "out", "output_dir", "save_dir", "project"),
    "model.lr": ("lr", "lr0", "learning_rate"),
    "model.weight_decay": ("wd", "weight_decay"),
    "model.pretrained": ("pretrained",),
    "model.label_smoothing": ("smoothing", "label_smoothing"),
    "data.batch_size": ("batch", "batch_size", "bs", "train_batch_size"),
    "data.num_workers": ("workers", "num_workers", "n_workers"),
    "data.image_size": ("imgsz", "img_size", "size", "input_size", "image_size", "resolution"),
    "data.root": ("root", "data_dir", "data_path", "dataset_path"),
    "data.flip": ("fliplr", "hflip", "horizontal_flip"),
    "data.augment": ("augmentation", "auto_augment"),
    "data.balance": ("class_weight", "class_weights", "weighted_sampler"),
    "trainer.accumulate_grad_batches": ("gradient_accumulation_steps", "accumulation_steps"),
    "trainer.gradient_clip_val": ("max_grad_norm", "clip_grad", "grad_clip"),
    "model.warmup_fraction": ("warmup_epochs", "warmup_ratio", "warmup_steps"),
    "finetune.patience": ("patience", "early_stopping"),
    "finetune.ema_decay": ("ema", "ema_decay"),
    "seed_everything": ("seed", "random_seed", "manual_seed"),
    "ckpt_path": ("resume", "resume_from", "resume_from_checkpoint"),
}
# The groups of a training come before those of what follows it.
_GROUPS = ("", "trainer", "model", "data", "finetune", "checkpoint", "benchmark", "export")


def suggest(name: str, options: Iterable[str]) -> str | None:
    """Return the option whose name is most similar; None if none is similar.

    Args:
        name: a name that does not exist, such as ``epochs``.
        options: the names of all options, such as ``trainer.max_epochs``.
    """
    known = [option for option in options if not option.endswith(".help")]
    group, _, leaf = name.rpartition(".")
    usual = _by_leaf(known)
    if not group:
        close = nearest(leaf, usual)
        return usual[close] if close else nearest(name, known)
    in_group = {
        option.rpartition(".")[2]: option for option in known if option.rpartition(".")[0] == group
    }
    if not in_group:
        return nearest(name, known)
    meant = usual.get(leaf)
    if meant in in_group.values():
        return meant
    close = nearest(leaf, in_group)
    return in_group[close] if close else meant or nearest(name, known)


def _by_leaf(options: Sequence[str]) -> dict[str, str]:
    """Return an option for each last part of a name, and for each usual name."""

    def rank(option: str) -> int:
        group = option.rpartition(".")[0]
        return _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)

    names = {
        option.rpartition(".")[2]: option for option in sorted(options, key=rank, reverse=True)
    }
    usual = {
        word: option
        for option, words in _USUAL_NAMES.items()
        if option in options
        for word in words
    }
    return names | usual
