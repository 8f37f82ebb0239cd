"""How right the predictions of a survey are, measured against labels that people gave."""
