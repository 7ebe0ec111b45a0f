"""A bundle of MONAI: a folder that ``python -m monai.bundle run`` runs for inference on a folder of NIfTI files.

See https://docs.monai.io/en/stable/mb_specification.html. The network is a file of torch.export. MONAI's own transforms
and inferers are used where they do what the training did; `scripts` has the rest.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from netwright.files import write_json, write_text
from netwright.models.export.base import Exportable
from netwright.models.export.torch_export import TorchExport

_SCRIPTS = "netwright.models.export.monai_bundle.scripts"
_INTERPOLATION = ("netwright.data.volumes", "interpolation")


class MonaiBundle:
    """A folder with ``configs/``, ``models/``, ``scripts/`` and ``docs/``."""

    name: ClassVar[str] = "monai-bundle"
    suffix: ClassVar[str] = ""
    marker: ClassVar[str] = "configs/netwright.json"

    def write(self, exportable: Exportable, path: Path) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        from netwright.models.export.description import not_applied
        from netwright.models.export.monai_bundle.configs import inference, metadata, readme

        description = exportable.description
        config = inference(description)
        for folder in ("configs", "docs", "models", "scripts"):
            (path / folder).mkdir()
        TorchExport().write(exportable, path / "models" / "model.pt2")
        write_json(path / "configs" / "inference.json", config)
        write_json(path / "configs" / "metadata.json", metadata(description))
        write_json(path / self.marker, description)
        write_text(path / "docs" / "README.md", readme(description))
        for name, text in _scripts().items():
            write_text(path / "scripts" / name, text)
        for missing in not_applied(description):
            exportable.tell("without", f"{missing}, which the bundle does not apply")


def _scripts() -> dict[str, str]:
    """The files of ``scripts``, which know one another by the names that they have in the bundle."""
    package, module = _INTERPOLATION
    found = {file.name: file for file in files(_SCRIPTS).iterdir() if file.name.endswith(".py")}
    found[f"{module}.py"] = files(package) / f"{module}.py"
    texts = {name: file.read_text(encoding="utf-8") for name, file in found.items()}
    return {
        name: text.replace(f"{package}.{module}", f"scripts.{module}").replace(_SCRIPTS, "scripts")
        for name, text in texts.items()
    }
