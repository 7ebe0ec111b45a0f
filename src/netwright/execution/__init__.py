"""Where jobs run: worker processes, their heartbeats, and the resources of this machine."""
