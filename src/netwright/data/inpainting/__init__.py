"""Pictures without labels, of which a part is masked and to be restored."""
