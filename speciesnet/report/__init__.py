"""A survey to look at: predictions, corrections and photographs as pages."""
