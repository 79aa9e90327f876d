"""What networks are built of: blocks, normalization, local contrast, preprocessing."""
