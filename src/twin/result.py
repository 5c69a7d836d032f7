"""The trainings of a chosen set of parts, and the look at what they gave."""

from __future__ import annotations

import copy

import msgspec
from lightning.pytorch import seed_everything
from torch import nn

from src.errors import LightshipError
from src.models.builders import load_weights
from src.run.twin import MissedBudget, Phase, Ranges, Twin, Validated
from src.run.twin_files import TwinFiles
from src.system import atomic_files
from src.twin import checkpoints, speed, training
from src.twin.account import Account
from src.twin.curve import missed_budget
from src.twin.graph_network import GraphNetwork, UnknownOperatorError
from src.twin.making import Making
from src.twin.parts import LEARNABLE
from src.twin.reconstruction import reconstruct
from src.twin.survey import LEAST_GAIN
from src.twin.time_limit import TimeLimit
from src.twin.training import Training, rank

_ROUNDING = 1e-6  # of a share of images, in float32


def train(making: Making, account: Account) -> None:
    """Distil the chosen plan, train it under fake quantization, and measure the result.

    Args:
        making: of the twin.
        account: with a plan; gets the result.

    Raises:
        UsageError: the plan is not of this network.
        LightshipError: a loss is not finite, or a graph cannot be trained.
    """
    files = TwinFiles(making.run)
    _undo_lost(making, account)
    account.note(teacher=making.validation.of(making.network))
    student = making.student(account.record)
    if account.record.plan is not None and account.record.plan.replaced:
        _reconstruct(making, account, student)
        record = account.record
        if record.distilled is not None or _needs_distillation(making, record):
            distilled = _fit(making, account, "distillation", student, before=record.reconstructed)
            account.note(distilled=distilled)
    with making.quantized(student) as quantization:
        try:
            trainable = quantization.network()
        except UnknownOperatorError as error:
            raise LightshipError(
                f"the twin cannot be trained under fake quantization: {error}"
            ) from error
        twin = account.record.twin or making.validation.of(trainable.eval())
        if _needs_quantization(making, account.record, twin):
            twin = _fit(making, account, "quantization", trainable, before=twin)
        quantization.write(trainable, files.unfinished_graph)
        ranges = quantization.ranges()
    account.note(
        twin=twin,
        in_float=making.validation.of(_float_graph(files)),
        graph_sha256=atomic_files.sha256(files.unfinished_graph),
        ranges=ranges,
        # An earlier command may have been stopped after its judgement; this one judges anew.
        reason=None,
        missed=None,
    )
    gained = _speedups(making, files, ranges)
    account.note(
        int8_speedup=gained.int8,
        fp32_speedup=gained.fp32,
        exported_speedup=gained.exported_int8,
    )
    _judge(making, account)


def _reconstruct(making: Making, account: Account, student: nn.Module) -> None:
    """Refit the layers of a student, or take the weights that an earlier command found.

    The student keeps its weights if the logits of the others are further from the teacher's.
    A training that an earlier version began without a refit goes on with its own weights.
    """
    folder = making.folder("distillation", account.record)
    file = checkpoints.begun_in(making.run, folder)
    weights = checkpoints.read_weights(file)
    if weights is not None:
        load_weights(student, weights)
    elif _is_begun(making, account.record):
        return
    else:
        making.report("refitting the layers behind the replaced parts")
        before = rank(making.validation.of(student))
        own = copy.deepcopy(student.state_dict())
        reconstruct(student, making.network, making.refit_images(), making.device)
        if rank(making.validation.of(student)) < before:
            load_weights(student, own)
        checkpoints.write_weights(student, file)
    if account.record.reconstructed is None:
        account.note(reconstructed=making.validation.of(student))


def _is_begun(making: Making, record: Twin) -> bool:
    """Return True if a training of a record was begun."""
    folder = checkpoints.folder_of(making.run, making.folder("distillation", record))
    return bool(record.spent_s) or checkpoints.last_in(folder) is not None


def _needs_distillation(making: Making, record: Twin) -> bool:
    """Return False for a reconstructed student that changes no more answers than is allowed."""
    if making.options.epochs is not None or not _is_close(making, record.reconstructed):
        return True
    making.report("no distillation: the refitted network answers as the trained one does")
    return False


def _needs_quantization(making: Making, record: Twin, quantized: Validated) -> bool:
    """Return False for a reconstructed student that answers as the teacher does once quantized."""
    is_asked = making.options.quantized_epochs is not None
    if is_asked or record.reconstructed is None or "quantization" in record.spent_s:
        return True
    if record.twin is not None:
        return False
    if not _is_close(making, quantized):
        return True
    making.report("no training under fake quantization: it answers as the trained network does")
    return False


def _is_close(making: Making, validated: Validated | None) -> bool:
    """Return True if no more of the validation answers are changed than the budget allows."""
    return (
        validated is not None
        and 1 - validated.agreement <= making.options.max_accuracy_drop + _ROUNDING
    )


def _undo_lost(making: Making, account: Account) -> None:
    """Undo trainings whose checkpoints are gone or damaged, so that they are trained again.

    The graph under fake quantization is that of the distilled network. So if the distillation is
    lost, both begin anew, in other folders.
    """
    record = account.record

    def is_lost(phase: Phase, done: Validated | None) -> bool:
        folder = checkpoints.folder_of(making.run, making.folder(phase, record))
        damaged = checkpoints.remove_damaged(folder)
        for line in damaged:
            print(line)  # stays on a terminal, unlike a report
        was_trained = done is not None and phase in record.spent_s
        is_begun = was_trained or bool(damaged)
        return is_begun and checkpoints.best_in(folder) is None

    is_refitted = record.reconstructed is not None
    begun = checkpoints.begun_in(making.run, making.folder("distillation", record))
    if is_refitted and checkpoints.read_weights(begun) is None:
        making.report("the weights that the trainings began with are gone: both begin anew")
        _begin_anew(account)
    elif is_lost("distillation", record.distilled):
        making.report("the checkpoints of the distillation are gone: both trainings begin anew")
        _begin_anew(account)
    elif is_lost("quantization", record.twin):
        making.report("the checkpoints of the quantization are gone: it is trained again")
        account.note(
            twin=None,
            epochs=[each for each in record.epochs if each.phase != "quantization"],
            spent_s={each: s for each, s in record.spent_s.items() if each != "quantization"},
        )


def _begin_anew(account: Account) -> None:
    """Undo everything behind the choice of the parts; the trainings get other folders."""
    account.note(
        making=account.record.making + 1,
        reconstructed=None,
        distilled=None,
        twin=None,
        epochs=[],
        spent_s={},
    )


def _fit(
    making: Making,
    account: Account,
    phase: Phase,
    student: nn.Module,
    *,
    before: Validated | None,
) -> Validated:
    """Train a student in place, and note the time and the curve.

    Args:
        making: of the twin.
        account: gets them.
        phase: of the training.
        student: gets the best weights.
        before: validation of the student before the training; None if that is unknown.
    """
    record = account.record
    limit = _limit(making, record, phase)
    # Another training may have changed torch's seed. A checkpoint is of the seed of its training.
    seed_everything(making.seed, workers=True, verbose=False)
    is_distillation = phase == "distillation"
    job = Training(
        run=making.run,
        phase=phase,
        folder=making.folder(phase, record),
        teacher=making.network,
        data=making.fresh_data(),
        validation=making.validation,
        epochs=making.epochs if is_distillation else making.quantized_epochs,
        lr=making.rate(phase, is_near=is_near(before)),
        limit=limit,
        device=making.device,
        limit_train_batches=making.limit_train_batches,
        is_near=is_near(before),
        loss_before=None if before is None else before.loss,
        report=making.report,
    )
    begun = copy.deepcopy(student.state_dict())
    # The checkpoints of a training that an earlier command finished are there.
    if (record.distilled if is_distillation else record.twin) is None:
        left = limit.left
        time = "" if left is None else f", for at most {left / 60:.1f} minutes"
        making.report(f"training: {phase}{time}")
        with account.noting(lambda: {"spent_s": {**record.spent_s, phase: limit.spent}}):
            epochs = training.fit(job, student)
        others = [each for each in record.epochs if each.phase != phase]
        account.note(epochs=[*others, *epochs])
    return training.best_of(job, student, begun)


def is_near(before: Validated | None) -> bool:
    """Return True if a student is known to answer most images as the teacher does."""
    return before is not None and before.agreement >= LEARNABLE


def _limit(making: Making, record: Twin, phase: Phase) -> TimeLimit:
    """Return the time of a training: its share by epochs, or all that the other one left."""
    spent = record.spent_s.get(phase, 0.0)
    if making.options.max_minutes is None:
        return TimeLimit(None, spent)
    seconds = 60 * making.options.max_minutes
    if phase == "quantization":
        return TimeLimit(seconds - record.spent_s.get("distillation", 0.0), spent)
    return TimeLimit(seconds * making.epochs / (making.epochs + making.quantized_epochs), spent)


def _speedups(making: Making, files: TwinFiles, ranges: Ranges) -> speed.Speedups:
    """Return the twin's speed-ups; those of the median of three timings if the first shows no gain.

    One slow phase of the machine must not discard what took an hour to train.
    """
    timed = [speed.measured(making, files.unfinished_graph, ranges)]
    if timed[0].int8 <= LEAST_GAIN:
        making.report("the first timing shows no gain: timing it twice more")
        timed += [speed.measured(making, files.unfinished_graph, ranges) for _ in range(2)]
    return sorted(timed, key=lambda each: each.int8)[len(timed) // 2]


def _float_graph(files: TwinFiles) -> GraphNetwork:
    import onnx

    return GraphNetwork(onnx.load(files.unfinished_graph, load_external_data=False)).eval()


def _is_cut_short(making: Making, record: Twin, missed: MissedBudget) -> bool:
    """Return True if the time ended the phase that limits a twin, before its last epoch."""
    is_distillation = missed.phase == "distillation"
    epochs = making.epochs if is_distillation else making.quantized_epochs
    limit = _limit(making, record, missed.phase)
    is_over = limit.seconds is not None and limit.spent >= limit.seconds
    return is_over and missed.trained < epochs


def _judge(making: Making, account: Account) -> None:
    """Note what the twin misses of the budget, or that nothing is gained."""
    record = account.record
    teacher, twin, calibrated = record.teacher, record.twin, record.calibrated
    if teacher is None or twin is None:
        raise TypeError("a trained twin has its figures")
    allowed = making.options.max_accuracy_drop
    missed = missed_budget(teacher, record.distilled, twin, record.epochs, allowed)
    if missed is not None and _is_cut_short(making, record, missed):
        missed = msgspec.structs.replace(missed, max_minutes=making.options.max_minutes)
    account.note(missed=missed)
    speedup = record.int8_speedup or 1.0
    if speedup > LEAST_GAIN or calibrated is None or twin.agreement > calibrated.agreement:
        return
    account.note(
        graph_sha256=None,
        reason=f"after its training it is {speedup:.2f} times as fast as the network's plain int8 "
        f"file, and gives the trained network's class for {twin.agreement:.1%} of the validation "
        f"images, the plain int8 file for {calibrated.agreement:.1%}",
    )
