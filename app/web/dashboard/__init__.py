"""The operator's live page: of the whole system, from any instance.

`page/` are its files, `files.py` gives them away; `hour.py` reads what the store knows of the last hour, `picture.py`
makes of it what is shown, and `feed.py` sends that to whoever looks, once a second.
"""
