"""How accurate the predictions of a survey are, compared with labels from people."""
