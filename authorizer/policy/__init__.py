"""Policy text in, decision function out. Pure: no I/O, no clock, no chance."""
