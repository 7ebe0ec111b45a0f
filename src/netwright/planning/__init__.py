"""From a recipe, the data, the machine and what the user set to the settings of a run, and to what it will cost."""
