"""Tables for ecologists: detection rates, activity, detection histories, species accumulation."""
