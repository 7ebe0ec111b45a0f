"""The settings of a run, made from the recipe, the data, the machine and what the user set; and what it will cost."""
