"""The admin address: health, readiness, metrics and a dashboard, in a process of its own.

    process.py      its life; answers of the supervisor and of the world that are asked for at most so often
    application.py  what is served, to whom, with which header fields
    health.py       alive? ready? and if not, what is to be done
    metrics.py      the numbers as Prometheus reads them
    dashboard.py    the numbers as people read them, with dashboard.html

Nothing here serves visitors, and nothing that a client sent is shown: routes are the operator's words, reasons and
kinds are ours (threats.md R35, R41).
"""
