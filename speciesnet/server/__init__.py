"""The model as a service: requests in, records out, over the stages of the command line."""
