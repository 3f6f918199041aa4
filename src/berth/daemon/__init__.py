"""berthd: settings, wiring, supervised tasks, signals, pid file.

settings.py   every setting declared once: flag, file key, kind, default, help; dockerd's that are not here, with the reason
configure.py  command line and daemon.json → settings
host.py       facts of the host taken once at start; instance id; the lock on the data-root
listen.py     which sockets, and who owns them
doors.py      opens them: unix, TCP with TLS, those of systemd
systemd.py    sockets passed by systemd, what it hears from us
wiring.py     the only place where everything is built and handed to each other
main.py       the program
"""
