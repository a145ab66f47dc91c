"""Everything the gate answers itself, below its mount: the widget script and the protocols of in-process verification.

    sites.py      what all of them know        answers.py, asking.py   what all of them say, and ask
    paths.py      which of them answers a request
    siteverify/   verdicts for other back ends, in the words of many providers

Besides, one file a protocol. Only a gate that verifies in process loads them.
"""
