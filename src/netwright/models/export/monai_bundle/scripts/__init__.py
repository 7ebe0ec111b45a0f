"""Code that goes into a bundle as it is: it needs MONAI, torch, numpy and nibabel, not netwright."""
