"""nnU-Net: a trainer, plans and a checkpoint with which nnunetv2 2.8 predicts with a network, and trains it.

The network is a file of torch.export beside the trainer, so that nnU-Net's environment needs nothing of netwright.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import ClassVar

from netwright.files import write_json, write_text
from netwright.models.export.base import Exportable
from netwright.models.export.torch_export import TorchExport

NETWORK = "network.pt2"


class NNUNetExport:
    """A folder with ``trainer/``, a model as nnU-Net lays it out, and plans."""

    name: ClassVar[str] = "nnunet"
    suffix: ClassVar[str] = ""
    marker: ClassVar[str] = "netwright.json"

    def write(self, exportable: Exportable, path: Path) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        import torch

        from netwright.models.export.description import not_applied
        from netwright.models.export.nnunet.plans import CONFIGURATION, PLANS, dataset_json, plans
        from netwright.models.export.nnunet.trainer import README, TRAINER, TRAINER_CODE

        description, settings = exportable.description, exportable.settings
        made = plans(description, 2 if settings is None else settings.training.batch_size)
        model = path / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
        for folder in (path / "trainer", model / "fold_all"):
            folder.mkdir(parents=True)
        network = TorchExport().write_and_read(exportable, path / "trainer" / NETWORK)
        write_text(path / "trainer" / f"{TRAINER}.py", TRAINER_CODE)
        checkpoint = {
            "network_weights": {f"network.{name}": weight for name, weight in network.state_dict().items()},
            "init_args": {"configuration": CONFIGURATION, "fold": "all"},
            "trainer_name": TRAINER,
            "inference_allowed_mirroring_axes": None,  # an ensemble mirrors by itself
        }
        file = BytesIO()  # torch tells a full disk by a RuntimeError only
        torch.save(checkpoint, file)
        (model / "fold_all" / "checkpoint_final.pth").write_bytes(file.getvalue())
        write_json(model / "dataset.json", dataset_json(description))
        write_json(model / "plans.json", made)
        write_json(path / f"{PLANS}.json", made)
        write_json(path / self.marker, description)
        lacking = not_applied(description)
        told = "".join(f"- {missing}\n" for missing in lacking)
        write_text(path / "README.md", README + (f"\nNot applied:\n\n{told}" if told else ""))
        for missing in lacking:
            exportable.tell("without", f"{missing}, which nnU-Net does not apply")
