"""Products in the control plane: feeds' runs, search, changes, match rates, recommendations."""
