"""Other people's systems, as far as ours meets them."""
