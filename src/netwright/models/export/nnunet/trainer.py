"""The trainer that nnU-Net finds by ``nnUNet_extTrainer``, as text: it imports nnunetv2, which is not here."""

from __future__ import annotations

TRAINER = "nnUNetTrainerNetwright"

TRAINER_CODE = '''"""A trainer of nnU-Net (nnunetv2 2.8) for one network, which torch.export wrote beside this file.

Export the folder of this file as nnUNet_extTrainer, so that nnU-Net finds it.
"""

from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn


class ExportedNetwork(nn.Module):
    """The network. Images of nnU-Net lie along z, y, x, and its own along x, y, z."""

    def __init__(self):
        super().__init__()
        self.network = torch.export.load(Path(__file__).with_name("network.pt2")).module()
        for name, weight in self.network.named_parameters():
            if weight.ndim > 1:
                nn.init.kaiming_normal_(weight, a=0.01)
            else:
                nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)

    def train(self, mode=True):
        """An exported network has one mode."""
        return self

    def forward(self, images):
        return self.network(images.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)


class nnUNetTrainerNetwright(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.enable_deep_supervision = False

    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        return ExportedNetwork()

    def set_deep_supervision_enabled(self, enabled):
        """There is one output."""
'''

README = f"""# A network for nnU-Net

nnunetv2 2.8 finds the trainer by an environment variable:

```console
$ export nnUNet_extTrainer=$PWD/trainer
$ nnUNetv2_predict_from_modelfolder -i IMAGES -o LABELS -m {TRAINER}__netwrightPlans__3d_fullres -f all --disable_tta
```

To train it anew on a dataset of nnU-Net, put netwrightPlans.json into its folder in nnUNet_preprocessed, with the name
of the dataset as dataset_name:

```console
$ nnUNetv2_preprocess -d ID -plans_name netwrightPlans -c 3d_fullres
$ nnUNetv2_train ID 3d_fullres 0 -tr {TRAINER} -p netwrightPlans
```

Training begins with random weights; `-pretrained_weights` with the checkpoint of this folder goes on from those found.
"""
