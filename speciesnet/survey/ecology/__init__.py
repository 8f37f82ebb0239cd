"""Tables for ecologists: detection rates, activity, detection histories, accumulation of species."""
