"""The demo: a small site with one guarded form, to see the gate at work.

    app.py      the site, as anybody would write it, and the gate in front of it
    feed.py     the gate's decisions, live, as Server-Sent Events
    server.py   serves it from one process until Ctrl-C

Not imported by the library; needs the extra `demo`.
"""
