"""Tests send Ctrl-C and hang-ups, which a shell that runs `make test &`, or nohup, has its children ignore: undone."""

import signal

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)
