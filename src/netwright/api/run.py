"""A run, from Python: its results so far, and what can be done with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from netwright.api.evaluation import Evaluation, evaluate_unseen
from netwright.api.front import OnMember, members, train_front
from netwright.api.networks import export_data, network_folder, require_trained, train_trial, trial_of
from netwright.api.progress import OnProgress
from netwright.api.race import extend
from netwright.api.runner import OnStatus, conduct
from netwright.comparison.retrain import train_protocol
from netwright.errors import RunError, SettingsWarning
from netwright.files import file_stamp
from netwright.models.export import DEFAULT, exporter_of
from netwright.models.export.base import silent
from netwright.models.export.trained import export_path, export_trained
from netwright.models.store import load_trained, saved_network, saved_task
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder
from netwright.runs.marks import FINISHED, has_mark
from netwright.runs.series import is_series
from netwright.runs.status import RunStatus, read_status
from netwright.runs.trials import TrialRecord, best_of, load_trials, record_of
from netwright.runs.trust import codes_of, require_trusted
from netwright.runs.versions import stated, version_warning
from netwright.searches.components import with_own_training
from netwright.settings import RunSettings
from netwright.tasks.base import Postprocessing, SavedNetwork
from netwright.tasks.predictor import Predictor
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Outcome, Status


class Run:
    """One run folder. ``trust_code``: whether the user trusts the code that the run names, see `code`."""

    def __init__(self, folder: RunFolder, *, trust_code: bool = False) -> None:
        self.folder = folder
        self.trust_code = trust_code
        self._settings: tuple[object, RunSettings] | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.folder.root)!r})"

    @property
    def settings(self) -> RunSettings:
        """Every resolved setting, as ``run.yaml`` has it now."""
        stamp = file_stamp(self.folder.settings_file)
        if self._settings is None or stamp is None or self._settings[0] != stamp:
            self._settings = stamp, self.folder.settings()
        return self._settings[1]

    def code(self, *, searching: bool = False) -> str | None:
        """The user's code that makes the run's networks, and why it may be run; None where there is none.

        `status`, `trials`, `best` and `report` never run such code. `resume`, `train`, `network`, `evaluate` and
        `predict` run it if a search of this user ran it before, or if the run was opened with ``trust_code``. Else they
        raise the same error. With ``searching`` it is also the code of the strategy, which `resume` alone runs.

        Raises:
            UntrustedCode: neither is the case. Nothing was imported.
        """
        codes = [code for code in codes_of(self.settings) if searching or code.what != "strategy"]
        told = [require_trusted(code, trust_code=self.trust_code) for code in codes]
        return "; ".join(words for words in told if words is not None) or None

    def other_versions(self) -> str | None:
        """How versions and machine differ from those when the run was made, in words.

        None: nothing differs, the run does not say, or it is finished.
        """
        finished = has_mark(self.folder, FINISHED)
        return None if finished else version_warning(stated(self.folder.settings_file))

    @property
    def trials(self) -> list[TrialRecord]:
        """All candidates, in the order of their proposal."""
        return [record_of(trial) for trial in load_trials(self.folder)]

    @property
    def best(self) -> TrialRecord | None:
        """The candidate with the greatest reward; None while there is none."""
        return best_of(self.trials)

    def pareto(self) -> list[TrialRecord]:
        """The candidates of the Pareto front, the best of the first objective first. Their ``values`` are those of
        ``settings.objective.names``.

        Raises:
            RunError: the search has one objective.
        """
        return members(self.folder, self.settings, self.trials)

    def train_pareto(
        self, *, epochs: int | None = None, hours: float | None = None, on_member: OnMember | None = None
    ) -> Iterator[tuple[int, Outcome]]:
        """Trains the candidates of `pareto` one after the other, as `train` does, and gives numbers and outcomes.

        Args:
            epochs: as in `train`.
            hours: of each candidate.
            on_member: called with each candidate; gives what is called with the progress of its training.

        Raises:
            RunError: the search has one objective, or there is no candidate yet.
        """
        self.code()
        return train_front(
            self.folder, self.settings, self.pareto(), epochs, hours, on_member or (lambda _: None)
        )

    def status(self) -> RunStatus:
        """The state of the run, whether it is running or not."""
        return read_status(self.folder)

    def resume(
        self, on_status: OnStatus | None = None, *, hours: float | None = None, compare: str | None = None
    ) -> Run:
        """Continues a run that was cut off, to its end. A finished run does not change.

        Args:
            on_status: called about twice a second with the state of the run.
            hours: more wall time, for a search whose trainings go on, also for a finished run. Those that the rule
                chooses go on from their checkpoints. Its test cases are then opened once more, which the report counts.
            compare: "full": afterwards the default is trained alone for as long as the hours were, also of a finished
                run, to see what the search was worth.

        Raises:
            RunError: another process holds the run, or it is damaged.
            SettingsError: ``hours`` or ``compare`` for a search that trains each candidate once, or so few hours that
                no training would go on.
            UntrustedCode: see `code`.

        Warns:
            SettingsWarning: see `other_versions`.
        """
        self.code(searching=True)
        if (told := self.other_versions()) is not None:
            warnings.warn(told, SettingsWarning, stacklevel=2)
        if hours is not None or compare is not None:
            extend(self.folder, hours, compare)
        conduct(self.folder, on_status)
        return self

    def report(self, output: Path | str | None = None) -> Path:
        """Writes the report of everything so far. Returns its path.

        Args:
            output: the file, or a folder for ``report.html``; by default the run folder.

        Raises:
            StorageError: it cannot be written.
        """
        from netwright.report.collect.run import write_report
        from netwright.report.collect.series import write_series

        path = None if output is None else Path(output)
        if is_series(self.folder.root):
            return write_series(self.folder.root, path)
        settings = self.settings
        return write_report(self.folder, settings, open_run_data(self.folder, settings), path)

    def train(
        self,
        trial: int | None = None,
        *,
        epochs: int | None = None,
        hours: float | None = None,
        on_epoch: OnProgress | None = None,
    ) -> tuple[int, Outcome]:
        """Trains a candidate with the full protocol and keeps it in ``trained/<number>``, ready for use.

        The test part is not opened. The metrics are those of the validation part. If ``train.cases`` says so, the
        network was trained on these cases too.

        Args:
            trial: its number; the best by default.
            epochs: in place of the protocol's; with patience, at most this many.
            hours: wall time, with as many epochs as fit.
            on_epoch: called with the progress of the training; after quick epochs not each time.

        Returns:
            The trial's number, and its outcome.

        Raises:
            RunError: there is no such trial, another process trains it, or training it failed. The message says why.
            StorageError: the run cannot be written to.
            UntrustedCode: see `code`.
        """
        self.code()
        record = trial_of(self.folder, self.trials, trial)
        settings = with_own_training(self.settings, record.choice)
        outcome = train_trial(
            self.folder, settings, record, train_protocol(settings, epochs, hours), on_epoch
        )
        if outcome.status != Status.COMPLETE:
            raise RunError(f"Trial {record.number} could not be trained: {outcome.status}, {outcome.reason}.")
        return record.number, outcome

    def network(
        self, trial: int | None = None, *, postprocessing: bool = True, crf: bool | None = None
    ) -> Predictor:
        """The trained network: the winner, or what `train` made of a trial.

        Args:
            trial: its number; the winner by default.
            postprocessing: whether what was fitted to the network and kept, such as a CRF, is applied.
            crf: the former name of ``postprocessing``.

        Raises:
            RunError: it has not been trained yet.
            UntrustedCode: see `code`.
        """
        folder = self._trained_folder(trial)
        self.code()
        trained = load_trained(folder, self.settings)
        applied = postprocessing if crf is None else crf
        return trained if applied else trained.without_postprocessing()

    def saved(self, trial: int | None = None) -> SavedNetwork:
        """The files of the network of `network`, without running any code.

        Raises:
            RunError: it has not been trained yet, or a file is damaged.
        """
        return saved_network(self._trained_folder(trial))

    def postprocessing(self, trial: int | None = None) -> Postprocessing | None:
        """What was fitted to the output of the network of `network`, kept or not, such as a CRF; None: nothing was.

        Raises:
            RunError: a file of the network is damaged.
        """
        folder = self._network_folder(trial)
        if not (folder / WEIGHTS).exists():
            return None
        return saved_task(folder).postprocessing(folder)

    def evaluate(
        self,
        dataset: Path | str,
        *,
        trial: int | None = None,
        format: str | None = None,
        map_label: dict[int, int] | None = None,
        postprocessing: bool = True,
        crf: bool | None = None,
        on_case: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Tests the trained network on a labelled dataset.

        It measures Dice on each case's own grid, accuracy, average precision and F1 of labels, or PSNR and SSIM
        of restored pictures. Cases that the network was made with (training and validation) are left out, and so are
        all other cases of the same patients. They are recognised by the content of their images, wherever the dataset
        lies.

        Args:
            dataset: its folder.
            trial: the network that `train` made of that trial; the winner by default.
            format: as for a search.
            map_label: as for a search; that of the run by default.
            postprocessing: as for `network`.
            crf: the former name of ``postprocessing``.
            on_case: called with the number of cases done and of all cases.

        Raises:
            DatasetError: the dataset cannot be used, or the network has seen all its cases.
            MemoryShortage: the postprocessing needs more memory than there is.
            RunError: there is no trained network yet, or its output is not finite.
        """
        trained = self.network(trial, postprocessing=postprocessing, crf=crf)
        return evaluate_unseen(
            self.folder,
            self.settings,
            self._network_folder(trial),
            trained,
            dataset,
            format=format,
            map_label=map_label,
            chosen=trial is not None,
            on_case=on_case,
        )

    def predict(
        self,
        images: Path | str | Sequence[Path | str],
        output: Path | str,
        *,
        trial: int | None = None,
        postprocessing: bool = True,
        crf: bool | None = None,
        masks: Path | str | None = None,
        overwrite: bool = False,
        format: str | None = None,
        additional: Collection[str] = (),
        on_case: Callable[[int, int], None] | None = None,
        on_part: Callable[[float], None] | None = None,
    ) -> list[Path]:
        """Predicts files or folders of files: segments each image on its own grid, classifies pictures, or restores
        them.

        Writes into ``output``: for each case a label map ``<case>.nii.gz``, ``<case>.nrrd``, ``<case>.mha``,
        ``<case>.tif`` or ``<case>.png``, or one ``predictions.csv``.

        Args:
            images: a file or folder, or several of them.
            output: the folder to write to.
            trial: the network that `train` made of that trial; the winner by default.
            postprocessing: as for `network`.
            crf: the former name of ``postprocessing``.
            masks: what is missing in pictures to restore, see `Inpainter.predict`.
            overwrite: whether earlier predictions in that folder may be replaced. Nothing else is ever replaced, and an
                input never.
            format: "nifti", "nrrd", "mha", "png" or "tiff" for label maps in another file format than their
                images.
            additional: what is written beside label maps: "probabilities" of all classes and their "uncertainty" (the
                entropy, from 0 to 1) as float32 files in folders of these names, and "volumes", a table of the voxels
                and ml of each label.
            on_case: called with the number of cases done and of all cases.
            on_part: called with the share of the image at hand that is computed, from above 0 to 1.

        Warns:
            DatasetWarning: what is left out of a folder: a file that cannot be used, files that are no images, and
                images in folders below.

        Raises:
            DatasetError: no file can be used, or two lead to one name.
            MemoryShortage: the postprocessing or the probabilities need more memory than there is.
            RunError: there is no trained network yet, or what it restores is not finite.
            SettingsError: masks for a network that restores nothing, or a format that it does not write; something else
                beside the label maps, or anything where there are none.
            StorageError: a file would be lost; nothing was written.
        """
        trained = self.network(trial, postprocessing=postprocessing, crf=crf)
        given = None if masks is None else Path(masks)
        return trained.predict(
            [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images],
            Path(output),
            on_case,
            given,
            overwrite=overwrite,
            format=format,
            additional=additional,
            on_part=on_part,
        )

    def export(
        self,
        path: Path | str | None = None,
        *,
        format: str = DEFAULT,
        trial: int | None = None,
        overwrite: bool = False,
        quantise: bool = False,
        tell: Callable[[str, str], None] = silent,
    ) -> Path:
        """Writes the trained network as a file or folder that is used without netwright. Returns its path.

        It has the network and a description of what goes in and comes out. What was fitted after the training, such as
        a CRF, is in the description only. Its outputs are compared with the network's on up to ten of the run's cases,
        or on random images where the dataset is gone.

        Args:
            path: the file or folder, or a folder for it; by default the working folder, with the name of the run.
            format: one of `netwright.models.export.EXPORTERS`.
            trial: the network that `train` made of that trial; the winner by default.
            overwrite: whether an earlier export may be replaced.
            quantise: also in whole numbers of 8 bits, calibrated on training cases; for the format "onnx".
            tell: called with what the user should know, a name and a text each.

        Raises:
            ExportError: the format cannot express the network, or gives other outputs.
            RunError: there is no trained network yet.
            SettingsError: there is no such format, its files end otherwise, or a package that it needs is missing.
            StorageError: the file exists, or cannot be written.
            UntrustedCode: see `code`.
        """
        name = self.folder.root.resolve().name + ("" if trial is None else f"-trial-{trial}")
        folder = self._trained_folder(trial)
        exporter = exporter_of(format, quantise=quantise)
        target = export_path(Path(path or "."), name, exporter, overwrite=overwrite)
        self.code()
        export_trained(
            folder, self.settings, target, exporter, export_data(self.folder, self.settings, tell), tell
        )
        return target

    def _trained_folder(self, trial: int | None) -> Path:
        return require_trained(self.folder, self._network_folder(trial), trial)

    def _network_folder(self, trial: int | None) -> Path:
        return network_folder(self.folder, trial, lambda: self.best)
