"""Exchange rates of currencies: where they come from, how old they are, and who may set them."""
