"""`netwright serve`: a trained network that answers on this machine, to other programs and on a page.

The server takes files and gives files. A process of its own computes, one file at a time.
"""
