"""The HTTP API over what is served: `opened.py` follows the champion, `app.py` answers, `server.py` listens."""
