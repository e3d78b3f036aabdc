"""The policy decision point: from one request and one snapshot to one decision. Pure: no I/O, no clock, no chance."""
