"""Pages that show a survey: predictions, corrections and photographs."""
